package value

import "time"

const (
	// firstMilli is the number from which a Unix time is one of milliseconds: as
	// seconds it would be the year 5138.
	firstMilli = 100_000_000_000
	// lastMilli keeps times within the years that protocols can carry.
	lastMilli = 100_000_000_000_000
	// nanoDigits are the digits of a second's fraction that count.
	nanoDigits = 9
)

// Time reads a time as devices write it: RFC 3339 (a space in place of T is
// taken too), or Unix time in seconds, with decimals or not, or in milliseconds.
// The result is in UTC.
func Time(text []byte) (t time.Time, ok bool) {
	if len(text) > 4 && text[4] == '-' {
		return rfc3339(text)
	}
	return unix(text)
}

func unix(text []byte) (time.Time, bool) {
	whole, rest, ok := digits(text, 0)
	if !ok || whole >= lastMilli {
		return time.Time{}, false
	}
	nanos, rest, ok := fraction(rest)
	if !ok || len(rest) > 0 {
		return time.Time{}, false
	}
	if whole >= firstMilli {
		return time.UnixMilli(whole).Add(time.Duration(nanos / 1000)).UTC(), true
	}
	return time.Unix(whole, nanos).UTC(), true
}

// digits reads decimal digits: n of them, or with 0 as many as there are, up to 18.
func digits(text []byte, n int) (value int64, rest []byte, ok bool) {
	i := 0
	for i < len(text) && i < 18 && (n == 0 || i < n) && '0' <= text[i] && text[i] <= '9' {
		value = value*10 + int64(text[i]-'0')
		i++
	}
	return value, text[i:], i > 0 && (n == 0 || i == n)
}

// fraction reads what may follow the seconds: a point and decimals.
func fraction(text []byte) (nanos int64, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '.' {
		return 0, text, true
	}
	i := 1
	for ; i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		if i <= nanoDigits {
			nanos = nanos*10 + int64(text[i]-'0')
		}
	}
	for j := i; j <= nanoDigits; j++ {
		nanos *= 10
	}
	return nanos, text[i:], i > 1
}

func rfc3339(text []byte) (t time.Time, ok bool) {
	const layout = "0000-00-00T00:00:00" // digits stand for themselves
	if len(text) <= len(layout) {
		return t, false
	}
	for i := range layout {
		switch b := text[i]; {
		case layout[i] == '0':
			if b < '0' || b > '9' {
				return t, false
			}
		case b != layout[i] && (layout[i] != 'T' || b != 't' && b != ' '):
			return t, false
		}
	}
	two := func(at int) int { return int(text[at]-'0')*10 + int(text[at+1]-'0') }
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	nanos, zone, ok := fraction(text[len(layout):])
	if !ok || hour > 23 || minute > 59 || second > 59 {
		return t, false
	}
	east, ok := offset(zone)
	t = time.Date(year, time.Month(month), day, hour, minute, second, int(nanos), time.UTC)
	if !ok || t.Day() != day || t.Month() != time.Month(month) {
		return time.Time{}, false // the 30th of February
	}
	return t.Add(-east), true
}

// offset reads Z or +hh:mm.
func offset(zone []byte) (east time.Duration, ok bool) {
	if len(zone) == 1 && (zone[0] == 'Z' || zone[0] == 'z') {
		return 0, true
	}
	if len(zone) != 6 || zone[3] != ':' || zone[0] != '+' && zone[0] != '-' {
		return 0, false
	}
	hours, _, ok := digits(zone[1:3], 2)
	minutes, _, ok2 := digits(zone[4:6], 2)
	if !ok || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	east = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if zone[0] == '-' {
		east = -east
	}
	return east, true
}
