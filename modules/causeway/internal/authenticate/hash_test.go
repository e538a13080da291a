package authenticate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPublishedHashesMatchTheirPasswords(t *testing.T) {
	for _, c := range []struct{ password, hash string }{
		// argon2's reference implementation, src/test.c, version 0x13.
		{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
		{"password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
		{"password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
		// crypt_blowfish, wrapper.c.
		{"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"},
		{"U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"},
		{"\xff\xff\xa3", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e"},
	} {
		h, err := parseHash(c.hash)
		if err != nil {
			t.Errorf("%s: %v", c.hash, err)
			continue
		}
		if !h.matches(c.password) {
			t.Errorf("%s does not match %q", c.hash, c.password)
		}
		if h.matches(c.password + "x") {
			t.Errorf("%s matches another password", c.hash)
		}
	}
}

func TestAHashThatCostsTooMuchOrIsNoneIsRefused(t *testing.T) {
	const tail = "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for _, text := range []string{
		"", "planted", "$argon2i$v=19$m=256,t=2,p=1" + tail, "$1$salt$hash",
		"$argon2id$v=16$m=256,t=2,p=1" + tail, "$argon2id$m=256,t=2,p=1" + tail,
		"$argon2id$v=19$m=65537,t=1,p=1" + tail, "$argon2id$v=19$m=65536,t=5,p=1" + tail,
		"$argon2id$v=19$m=256,t=11,p=1" + tail, "$argon2id$v=19$m=256,t=0,p=1" + tail,
		"$argon2id$v=19$m=256,t=2,p=9" + tail, "$argon2id$v=19$m=7,t=2,p=1" + tail,
		"$argon2id$v=19$m=4294967296,t=2,p=1" + tail, "$argon2id$v=19$m=+256,t=2,p=1" + tail,
		"$argon2id$v=19$t=2,m=256,p=1" + tail, "$argon2id$v=19$m=256,t=2,p=1,x=1" + tail,
		"$argon2id$v=19$m=256,t=2,p=1$c2FsdA$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$c2hvcnQ",
		"$2a$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe\n",
		"$2a$05$" + strings.Repeat("C", 400),
	} {
		h, err := parseHash(text)
		if !errors.Is(err, ErrHash) {
			t.Errorf("%q: %v, %v", text, h, err)
		} else if len(text) > 5 && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows the hash: %v", err)
		}
	}
}

func TestAPasswordIsComparedOncePerHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPasswords(nil, nil)
		text, err := p.Hash(t.Context(), "right")
		if err != nil {
			t.Fatal(err)
		}
		other, _ := p.Hash(t.Context(), "right")
		if other == text {
			t.Error("two hashes of one password are the same: no salt")
		}
		// With workers that refuse, only what is remembered gets an answer.
		closed := NewWorkers(WorkersOptions{})
		closed.Close()
		open := p.workers
		expect := func(when, password string, want bool, wantErr error) {
			t.Helper()
			if ok, err := p.Matches(t.Context(), text, password); ok != want || !errors.Is(err, wantErr) {
				t.Errorf("%s, %q: %t, %v", when, password, ok, err)
			}
		}
		expect("first", "right", true, nil)
		expect("first", "wrong", false, nil)
		p.workers = closed
		expect("again", "right", true, nil)
		expect("again", "wrong", false, nil)
		expect("again", "", false, nil)
		expect("another", "another", false, ErrBusy)
		time.Sleep(remembered)
		expect("a day later", "right", false, ErrBusy)
		p.workers = open
		expect("a day later", "right", true, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Hash(ctx, strings.Repeat("x", maxPassword+1)); err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("a password that is too long: %v", err)
		}
	})
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			if !errors.Is(err, ErrHash) {
				t.Fatal(err)
			}
			return
		}
		if a, ok := h.(argon); ok {
			if a.String() != text {
				t.Errorf("%q is read as %q", text, a)
			}
			if uint64(a.memory)*uint64(a.passes) > mostWork {
				t.Errorf("%q costs too much", text)
			}
			if a.memory > 512 {
				return // only to keep the fuzzing fast
			}
			h.matches("password")
		}
	})
}
