package sarif

// The objects of SARIF 2.1.0 with the members that are written here, by the sections of its specification.

const schemaURI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

type document struct { // §3.13
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []run  `json:"runs"`
}

type run struct { // §3.14
	Tool struct {
		Driver driver `json:"driver"`
	} `json:"tool"`
	Automation  *automation                 `json:"automationDetails,omitempty"`
	Invocations []invocation                `json:"invocations"`
	Bases       map[string]artifactLocation `json:"originalUriBaseIds,omitempty"`
	Results     []found                     `json:"results"`
	Properties  map[string]any              `json:"properties"`
}

type automation struct { // runAutomationDetails, §3.17
	ID string `json:"id"` // the category, and a slash
}

type driver struct { // §3.19
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Rules   []rule `json:"rules"`
}

type invocation struct { // §3.20
	Successful    bool           `json:"executionSuccessful"`
	Start         string         `json:"startTimeUtc,omitempty"`
	End           string         `json:"endTimeUtc,omitempty"`
	Notifications []notification `json:"toolExecutionNotifications"`
}

type rule struct { // §3.49
	ID         string         `json:"id"`
	Short      message        `json:"shortDescription"`
	Full       message        `json:"fullDescription"`
	Help       message        `json:"help"`
	Default    configuration  `json:"defaultConfiguration"`
	Properties map[string]any `json:"properties"`
}

type configuration struct { // §3.50
	Level string `json:"level"`
}

type message struct { // §3.11, §3.12
	Text string `json:"text"`
}

type found struct { // result, §3.27
	Rule         string            `json:"ruleId"`
	Index        int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      message           `json:"message"`
	Locations    []spot            `json:"locations"`
	Related      []spot            `json:"relatedLocations,omitempty"`
	Fingerprints map[string]string `json:"partialFingerprints"`
	Properties   map[string]any    `json:"properties,omitempty"`
}

type spot struct { // location, §3.28
	ID       int      `json:"id,omitempty"`
	Physical physical `json:"physicalLocation"`
	Message  *message `json:"message,omitempty"`
}

type physical struct { // §3.29
	Artifact artifactLocation `json:"artifactLocation"`
	Region   *region          `json:"region,omitempty"`
}

type artifactLocation struct { // §3.4
	URI  string `json:"uri"`
	Base string `json:"uriBaseId,omitempty"`
}

type region struct { // of bytes, §3.30
	Offset     int64          `json:"byteOffset"`
	Length     int            `json:"byteLength"`
	Properties map[string]any `json:"properties"`
}

type notification struct { // §3.58
	Level   string     `json:"level"`
	Message message    `json:"message"`
	Rule    *reference `json:"associatedRule,omitempty"`
}

type reference struct { // §3.52
	Index int    `json:"index"`
	ID    string `json:"id"`
}
