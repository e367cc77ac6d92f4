package limits

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestListenerLargeEvents holds that a stream that is one of many hears what comes after an event that is too large for it.
func TestListenerLargeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serving(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %s\n\ndata: small-%d\n\n", strings.Repeat("x", 4*h2MaxEvent), i)
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})})
		s := searchOf(t, p, "", time.Minute)
		l, err := (&Session{Search: s}).openFrom(t.Context(), netip.Addr{}, h2MaxEvent)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		synctest.Wait()
		if n := l.Facts().Events; n < 3 {
			t.Errorf("%d of 3 small events were heard", n)
		}
	})
}
