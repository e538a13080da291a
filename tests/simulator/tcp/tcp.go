// Package tcp ends connections as a failing network does, whatever they carry.
package tcp

import "net"

// Reset ends the TCP connection under nc with a reset, so that neither TLS nor WebSocket
// above it says goodbye. Layers are those that have a method NetConn, as tls.Conn has.
// What has no TCP below is closed. The layers notice, and have to be closed as ever.
func Reset(nc net.Conn) {
	for {
		layer, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc = layer.NetConn()
	}
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // one that has ended already cannot be set, and needs no reset
	}
	_ = nc.Close()
}
