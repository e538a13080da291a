package observe

// eventFields walks the top level of one JSON object as zerolog writes it. It is
// forgiving: what is not well-formed ends the walk.
type eventFields struct {
	data []byte
	at   int
	// key is the text between the quotes, still escaped; value is its JSON.
	key, value []byte
}

// next moves to the next field and reports whether there is one.
func (f *eventFields) next() bool {
	f.skip("{, \t\r\n")
	if f.at >= len(f.data) || f.data[f.at] != '"' {
		return false
	}
	start := f.at
	if !f.text() {
		return false
	}
	f.key = f.data[start+1 : f.at-1]
	f.skip(": \t\r\n")
	start = f.at
	f.skipValue()
	f.value = f.data[start:f.at]
	return f.at > start
}

func (f *eventFields) skip(any string) {
	for f.at < len(f.data) {
		found := false
		for i := range len(any) {
			if f.data[f.at] == any[i] {
				found = true
			}
		}
		if !found {
			return
		}
		f.at++
	}
}

// text moves past a string.
func (f *eventFields) text() bool {
	for f.at++; f.at < len(f.data); f.at++ {
		switch f.data[f.at] {
		case '\\':
			f.at++
		case '"':
			f.at++
			return true
		}
	}
	f.at = len(f.data)
	return false
}

// skipValue moves past one value: to the comma or brace that ends it.
func (f *eventFields) skipValue() {
	depth := 0
	for f.at < len(f.data) {
		switch f.data[f.at] {
		case '"':
			if !f.text() {
				return
			}
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
			if depth == 0 {
				f.at++
				return
			}
		case ',', '\n':
			if depth == 0 {
				return
			}
		}
		f.at++
	}
}
