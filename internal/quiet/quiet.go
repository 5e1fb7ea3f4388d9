// Package quiet keeps the standard logger silent while packages are initialised. VictoriaMetrics/metrics writes a line then
// where the kernel has no pressure figures, as on systems with psi=0 and in many containers: each command would print it,
// "holdfast version" too. Go initialises a package as soon as its imports are, in the order of their paths, so this one, which
// imports little, comes before those that log.
package quiet

import (
	"io"
	"log"
	"os"
)

func init() { log.SetOutput(io.Discard) }

// End has the standard logger write to standard error again. The program calls it first of all.
func End() { log.SetOutput(os.Stderr) }
