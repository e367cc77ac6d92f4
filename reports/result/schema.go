package result

import _ "embed"

//go:embed check-v1.schema.json
var checkSchema []byte

//go:embed load-v1.schema.json
var loadSchema []byte

//go:embed limits-v1.schema.json
var limitsSchema []byte

//go:embed runs-v1.schema.json
var runsSchema []byte

// JSONSchema returns the JSON Schema (2020-12) of a [Run.Schema] or of [SchemaRuns], nil if there is none. Members may be added within a version, never renamed or removed;
// so the schemas allow members that they do not name.
func JSONSchema(schema string) []byte {
	switch schema {
	case SchemaCheck:
		return checkSchema
	case SchemaLoad:
		return loadSchema
	case SchemaLimits:
		return limitsSchema
	case SchemaRuns:
		return runsSchema
	}
	return nil
}
