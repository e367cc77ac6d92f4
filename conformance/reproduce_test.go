package conformance

import (
	"net/url"
	"strings"
	"testing"

	"ssegauge/reference/publish"
	"ssegauge/reference/wire"
)

// Commands are shown and kept: no credential stands in one, wherever the request has it.
func TestCommandsHoldNoCredentials(t *testing.T) {
	const secret = "s3cret-value"
	u, _ := url.Parse("http://target.example/v1?api_key=" + secret)
	hook, err := publish.Compile(publish.Hook{
		HTTP: "POST http://target.example/publish?token=" + secret, Body: `{"password":"` + secret + `","data":{{json .Data}}}`, Header: []string{"X-Api-Key: " + secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &Probe{s: &session{target: Target{
		Request:   wire.Request{Method: "POST", URL: u, Header: wire.Header{{Name: "Authorization", Value: "Bearer " + secret}}, Body: []byte(`{"token":"` + secret + `","q":"x"}`)},
		Publisher: hook,
	}}}
	for _, command := range []string{p.Curl(nil), p.Republish(&Delivery{Sent: "payload", message: publish.Message{Data: "payload"}})} {
		if strings.Contains(command, secret) || !strings.Contains(command, "***") {
			t.Error(command)
		}
	}
	if command := p.Republish(&Delivery{message: publish.Message{Data: "payload"}}); !strings.Contains(command, "payload") {
		t.Error(command)
	}
}
