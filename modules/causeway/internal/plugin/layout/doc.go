// Package layout compiles layouts.
package layout
