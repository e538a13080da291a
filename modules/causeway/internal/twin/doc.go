// Package twin keeps the gateway in step with its module twin: the desired
// properties become the configuration, and what the gateway is and does becomes
// the reported properties.
//
// The desired side follows the algorithm of Azure/iotedge doc/edgehub-api.md:
// subscribe, get, then apply each patch whose version is the next one, ignore
// older ones, and get again after a gap and after every reconnect, because missed
// patches are not sent again.
package twin
