// Package teltonika writes what a Teltonika tracker sends, and reads what it is
// answered, as the public "Teltonika Data Sending Protocols" page describes it:
// login and AVL packets in Codec 8 and 8 Extended over TCP and UDP, commands and
// answers in Codec 12. It is the device's side, and shares nothing with a server.
package teltonika
