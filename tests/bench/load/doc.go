// Package load plays the devices: it opens connections to a gateway and sends what package
// payload makes, as fast as the gateway reads or at a rate.
//
// The kernel's buffers hold more than a million lines at 50 connections, and a slow gateway
// would take minutes to read them after the end. So [Load.Allow] bounds how many messages
// may have been sent: who measures keeps it about a second ahead of what has arrived at the
// hub, which is more than any gateway needs and lets every run end.
package load
