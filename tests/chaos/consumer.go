package chaos

import (
	"strconv"
	"strings"
)

// Consumer drops what it has seen: it remembers the highest number of each session of
// a device.
type Consumer map[string]uint64

// First tells whether a message arrives for the first time, by its message id.
func (highest Consumer) First(messageID string) bool {
	cut := strings.LastIndexByte(messageID, '-')
	if cut < 0 {
		return true // not of the gateway
	}
	session := messageID[:cut] // device and epoch
	number, err := strconv.ParseUint(messageID[cut+1:], 36, 64)
	if err != nil {
		return true
	}
	if number <= highest[session] {
		return false
	}
	highest[session] = number
	return true
}
