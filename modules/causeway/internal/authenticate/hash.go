package authenticate

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// ErrHash says that a text is not a password hash, or one that costs too much.
var ErrHash = errors.New("not a password hash")

const (
	// What passwords are hashed with: the first choice of OWASP's password storage
	// cheat sheet for argon2id, some 30 ms and 19 MiB on a small device.
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	saltBytes  = 16
	tagBytes   = 32

	// What is read: hashes are imported, and one of them must not take the memory or
	// the seconds of all devices. 64 MiB is what RFC 9106 recommends second.
	mostMemory  = 64 << 10 // KiB
	mostPasses  = 10
	mostWork    = 4 * mostMemory // KiB times passes, some half of a second
	mostThreads = 8
	mostCost    = 13 // of bcrypt: each more doubles the time, and this is half of a second

	// maxHash bounds the text of a hash, maxPassword what is hashed.
	maxHash     = 200
	maxPassword = 1024
)

// hash is a parsed password hash.
type hash interface {
	// matches takes the time that the hash costs.
	matches(password string) bool
}

// argon is an argon2id hash.
type argon struct {
	memory, passes uint32
	threads        uint8
	salt, tag      []byte
}

func (a argon) matches(password string) bool {
	tag := argon2.IDKey([]byte(password), a.salt, a.passes, a.memory, a.threads, uint32(len(a.tag)))
	return subtle.ConstantTimeCompare(tag, a.tag) == 1
}

// String is the PHC string format.
func (a argon) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.passes, a.threads,
		base64.RawStdEncoding.EncodeToString(a.salt), base64.RawStdEncoding.EncodeToString(a.tag))
}

// crypt is a bcrypt hash, as other systems export it.
type crypt []byte

func (c crypt) matches(password string) bool {
	return bcrypt.CompareHashAndPassword(c, []byte(password)) == nil
}

// hashed hashes a password with a new salt.
func hashed(password string) string {
	a := argon{memory: hashMemory, passes: hashPasses, threads: 1, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(a.salt) // never fails: it ends the program
	a.tag = argon2.IDKey([]byte(password), a.salt, a.passes, a.memory, a.threads, tagBytes)
	return a.String()
}

// parseHash reads an argon2id hash in the PHC string format, or a bcrypt hash. The
// error is ErrHash; it never shows the hash.
func parseHash(text string) (hash, error) {
	switch {
	case len(text) > maxHash:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrHash, maxHash)
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseCrypt(text)
	default:
		return nil, fmt.Errorf("%w: it begins with none of $argon2id$, $2a$, $2b$, $2y$", ErrHash)
	}
}

func parseCrypt(text string) (hash, error) {
	const length = 60 // version, cost, 22 characters of salt, 31 of hash
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if len(text) != length || text[6] != '$' || strings.Trim(text[7:], alphabet) != "" {
		return nil, fmt.Errorf("%w: bcrypt is $2b$, a cost of two digits, $ and 53 characters", ErrHash)
	}
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || cost > mostCost {
		return nil, fmt.Errorf("%w: the cost of bcrypt has to be %d to %d", ErrHash, bcrypt.MinCost, mostCost)
	}
	return crypt(text), nil
}

func parseArgon(text string) (hash, error) {
	const form = "argon2id is $argon2id$v=19$m=KIB,t=PASSES,p=THREADS$SALT$HASH"
	part := strings.Split(text, "$")
	if len(part) != 6 || part[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("%w: %s", ErrHash, form)
	}
	var number [3]uint64
	setting := strings.Split(part[3], ",")
	if len(setting) != len(number) {
		return nil, fmt.Errorf("%w: %s", ErrHash, form)
	}
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(setting[i], name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
			return nil, fmt.Errorf("%w: %s", ErrHash, form)
		}
		number[i] = n
	}
	memory, passes, threads := number[0], number[1], number[2]
	if passes < 1 || passes > mostPasses || threads < 1 || threads > mostThreads ||
		memory < 8*threads || memory > mostMemory || memory*passes > mostWork {
		return nil, fmt.Errorf("%w: argon2id may have up to m=%d, t=%d, p=%d and m times t of %d",
			ErrHash, mostMemory, mostPasses, mostThreads, mostWork)
	}
	salt, errSalt := base64.RawStdEncoding.Strict().DecodeString(part[4])
	tag, errTag := base64.RawStdEncoding.Strict().DecodeString(part[5])
	if errSalt != nil || errTag != nil || len(salt) < 8 || len(salt) > 48 || len(tag) < 16 || len(tag) > 64 {
		return nil, fmt.Errorf("%w: argon2id wants 8 to 48 bytes of salt and 16 to 64 of hash, in base64", ErrHash)
	}
	return argon{
		memory: uint32(memory), passes: uint32(passes), threads: uint8(threads), salt: salt, tag: tag,
	}, nil
}
