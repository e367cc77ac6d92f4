package conformance

import "path"

// Match tells whether a glob covers a name: * stands for any text, "/" included, ? for one character, [a-z] for one of a set, \ takes the meaning of
// what follows. The error tells of a malformed glob.
func Match(glob, name string) (bool, error) { return path.Match(flat(glob), flat(name)) }

// flat makes "/" an ordinary character for [path.Match].
func flat(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '/' {
			b[i] = '\x01'
		}
	}
	return string(b)
}
