package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// ErrEnvironment is wrapped by every error of [LoadEnvironment].
var ErrEnvironment = errors.New("bad environment")

// Environment is what the process environment says.
type Environment struct {
	// DataDir is the directory of everything that outlives the process.
	DataDir string
	// MetricsAddr is where metrics and health are served; empty means nowhere.
	MetricsAddr string
	// LogLevel is one of [LogLevels]. The twin's log.level takes precedence.
	LogLevel string
	// ConfigFile is the path of a document in twin form, used when the twin has
	// none and no last good one exists; empty means the built-in one.
	ConfigFile string
	// Shutdown bounds the drain after SIGTERM.
	Shutdown time.Duration
	// TokenTTL is the life of a SAS token.
	TokenTTL time.Duration
	// HubBatchBytes is the size at which a batch leaves, in bytes.
	HubBatchBytes int
	// HubBatchesInFlight is how many batches may wait for the hub's answer.
	HubBatchesInFlight int
	// HubQueueBytes bounds what is encoded and not yet answered, in bytes.
	HubQueueBytes int
	// HubLinger is the longest time that a message waits for company.
	HubLinger time.Duration
	// Hub says how to reach the hub and as whom.
	Hub HubEnvironment
	// Unknown lists CAUSEWAY_ variables that nothing reads, most likely typing
	// mistakes, in ascending order.
	Unknown []string
}

// variables is what envconfig fills. Names are whole, because envconfig with a
// prefix falls back to the name without it, and LOG_LEVEL is not ours. The tags
// min and max bound integers; the descriptions are in tables.go.
type variables struct {
	DataDir     string `envconfig:"CAUSEWAY_DATA_DIR" default:"/var/lib/causeway"`
	MetricsAddr string `envconfig:"CAUSEWAY_METRICS_ADDR" default:":9600"`
	LogLevel    string `envconfig:"CAUSEWAY_LOG_LEVEL"`
	ConfigFile  string `envconfig:"CAUSEWAY_CONFIG"`
	Shutdown    int    `envconfig:"CAUSEWAY_SHUTDOWN_SECONDS" default:"8" min:"1" max:"600"`
	TokenTTL    int    `envconfig:"CAUSEWAY_TOKEN_TTL_SECONDS" default:"3600" min:"10" max:"86400"`
	Hub         string `envconfig:"CAUSEWAY_HUB" default:"edgehub"`
	BatchBytes  int    `envconfig:"CAUSEWAY_HUB_BATCH_BYTES" default:"60000" min:"1024" max:"262144"`
	Batches     int    `envconfig:"CAUSEWAY_HUB_BATCHES_IN_FLIGHT" default:"32" min:"1" max:"1000"`
	QueueBytes  int    `envconfig:"CAUSEWAY_HUB_QUEUE_BYTES" default:"4194304" min:"65536" max:"1073741824"`
	LingerMS    int    `envconfig:"CAUSEWAY_HUB_LINGER_MS" default:"5" min:"0" max:"1000"`
}

// LoadEnvironment reads the process environment: the CAUSEWAY_ variables, and the
// variables by which the IoT Edge runtime or its simulator describe the hub. The
// error wraps [ErrEnvironment] and never shows a secret.
func LoadEnvironment() (Environment, error) {
	v, err := loadVariables()
	if err != nil {
		return Environment{}, fmt.Errorf("config: %w: %w", ErrEnvironment, err)
	}
	e := Environment{
		DataDir:            v.DataDir,
		MetricsAddr:        v.MetricsAddr,
		ConfigFile:         v.ConfigFile,
		Shutdown:           time.Duration(v.Shutdown) * time.Second,
		TokenTTL:           time.Duration(v.TokenTTL) * time.Second,
		HubBatchBytes:      v.BatchBytes,
		HubBatchesInFlight: v.Batches,
		HubQueueBytes:      v.QueueBytes,
		HubLinger:          time.Duration(v.LingerMS) * time.Millisecond,
		Unknown:            unknownVariables(os.Environ()),
	}
	if strings.EqualFold(e.MetricsAddr, "off") {
		e.MetricsAddr = ""
	}
	if e.LogLevel, err = chooseLogLevel(v.LogLevel, os.Getenv("RuntimeLogLevel")); err != nil {
		return Environment{}, fmt.Errorf("config: %w: %w", ErrEnvironment, err)
	}
	if v.Hub != "edgehub" && v.Hub != "iothub" {
		return Environment{}, fmt.Errorf("config: %w: CAUSEWAY_HUB is %q, must be edgehub or iothub", ErrEnvironment, v.Hub)
	}
	if e.Hub, err = loadHub(os.Getenv, v.Hub == "iothub"); err != nil {
		return Environment{}, fmt.Errorf("config: %w: %w", ErrEnvironment, err)
	}
	return e, nil
}

// loadVariables reads the CAUSEWAY_ variables. It replaces envconfig's own parse
// error, which prints Go type names instead of what is allowed.
func loadVariables() (variables, error) {
	var v variables
	if err := envconfig.Process("", &v); err != nil {
		if parse, ok := errors.AsType[*envconfig.ParseError](err); ok {
			return v, fmt.Errorf("%s is %q, must be a whole number", parse.KeyName, parse.Value)
		}
		return v, err
	}
	if v.DataDir == "" {
		return v, errors.New("CAUSEWAY_DATA_DIR is empty, must be a directory")
	}
	s := reflect.ValueOf(&v).Elem()
	for i := range s.NumField() {
		tag := s.Type().Field(i).Tag
		if tag.Get("min") == "" {
			continue
		}
		least, _ := strconv.ParseInt(tag.Get("min"), 10, 64)
		most, _ := strconv.ParseInt(tag.Get("max"), 10, 64)
		if n := s.Field(i).Int(); n < least || n > most {
			return v, fmt.Errorf("%s is %d, must be from %d to %d", tag.Get("envconfig"), n, least, most)
		}
	}
	if v.QueueBytes < v.BatchBytes {
		return v, fmt.Errorf("CAUSEWAY_HUB_QUEUE_BYTES is %d, must be at least CAUSEWAY_HUB_BATCH_BYTES (%d)",
			v.QueueBytes, v.BatchBytes)
	}
	return v, nil
}

func unknownVariables(environ []string) []string {
	known := make(map[string]bool)
	for _, v := range environmentVariables() {
		known[v.name] = true
	}
	var unknown []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "CAUSEWAY_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
