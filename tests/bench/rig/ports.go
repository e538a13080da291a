package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range that the kernel gives to who asks for any port: a
// program that does so between the choice and the start could have taken one.
const (
	firstPort = 20_000
	lastPort  = 29_999
	portTries = 2000
)

// Ports returns n addresses on loopback that were free when it looked.
func Ports(ctx context.Context, network string, n int) ([]string, error) {
	var list []string
	taken := map[int]bool{}
	for range portTries {
		if len(list) == n {
			return list, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if !taken[port] && free(ctx, network, address) {
			list = append(list, address)
		}
		taken[port] = true
	}
	return nil, fmt.Errorf("find %d ports from %d to %d: %d tries were not enough", n, firstPort, lastPort, portTries)
}

func free(ctx context.Context, network, address string) bool {
	var lc net.ListenConfig
	if network == "udp" {
		l, err := lc.ListenPacket(ctx, "udp", address)
		if err != nil {
			return false
		}
		return l.Close() == nil
	}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return l.Close() == nil
}
