package teltonika

import "fmt"

// IMEI returns the n-th made-up IMEI: a type allocation code of the FMB family, a
// serial number of six digits, and the check digit. n counts modulo a million.
func IMEI(n int) string {
	body := fmt.Sprintf("35209308%06d", n%1_000_000)
	sum := 0
	for i, c := range body {
		d := int(c - '0')
		if i%2 == 1 { // every second digit counts twice, digit by digit
			d = d*2/10 + d*2%10
		}
		sum += d
	}
	return fmt.Sprintf("%s%d", body, (10-sum%10)%10)
}
