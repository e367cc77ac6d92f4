package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"ssegauge/reports/result"
)

// TestBrowserLimits holds what limits says of a server against what a headless Chromium does there: how many streams a page opens, and that one more waits until one is closed.
func TestBrowserLimits(t *testing.T) {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless_shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium is installed, so it was not seen how many streams it opens")
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	alloc, cancel := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-component-update", true), chromedp.Flag("ignore-certificate-errors", true))...)
	defer cancel()
	browser, closeBrowser := chromedp.NewContext(alloc)
	defer closeBrowser()
	if err := chromedp.Do(browser, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	defer func() {
		if err := chromedp.Cancel(browser); err != nil {
			t.Logf("Chromium does not end well: %v", err)
		}
	}()
	t.Run("group", func(t *testing.T) { browserLimits(ctx, t, browser) }) // returns when its parallel tests have
}

func browserLimits(ctx context.Context, t *testing.T, browser context.Context) {
	for _, c := range []struct {
		name   string
		serve  []string
		budget string // a share of it is waited for one of six streams to end; over HTTP/2 it ends sooner
		open   int    // streams of a page
		found  map[string]float64
		says   string
	}{
		{"HTTP-1.1", nil, "12s", 6, map[string]float64{"h1/connections-per-host": 6}, "A tab that opens a seventh stream over HTTP/1.1 will wait for ever"},
		{"HTTP-2", []string{"--tls", "--max-streams-per-conn", "100"}, "1m", 100, map[string]float64{"h2/max-concurrent-streams": 100, "h2/served-streams": 100}, "opens 100 streams over HTTP/2, all its tabs together; one more will wait"},
		{"HTTP-2, past what Chromium opens", []string{"--tls", "--max-streams-per-conn", "1000"}, "1m", 256, map[string]float64{"h2/max-concurrent-streams": 1000}, "opens 256 streams over HTTP/2, all its tabs together, though the server allows 1,000; one more will wait"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base := serveFor(ctx, t, c.serve...)
			var said bytes.Buffer
			cmd := exec.CommandContext(ctx, "ssegauge", "limits", base+"/events", "--insecure", "--probe", "h1-hosts,h2-streams", "--budget", c.budget, "--quiet", "--format", "json")
			cmd.Stdout, cmd.Stderr = &said, os.Stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("limits: %v", err)
			}
			var run result.Limits
			if err := json.Unmarshal(said.Bytes(), &run); err != nil {
				t.Fatal(err)
			}
			found := map[string]float64{}
			for _, l := range run.Limits {
				if l.Found && l.High != nil && *l.Low == *l.High {
					found[l.ID] = *l.Low
				}
			}
			for id, want := range c.found {
				if found[id] != want {
					t.Errorf("limits says %v of %s, wanted: %v", found[id], id, want)
				}
			}
			if s := strings.Join(run.Expect, " "); !strings.Contains(s, c.says) {
				t.Errorf("limits says %q, wanted: %q", s, c.says)
			}

			tab, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
			defer closeTab()
			if err := chromedp.Do(tab, chromedp.Navigate(base+"/healthz")); err != nil {
				t.Fatal(err)
			}
			script := fmt.Sprintf("(%s)(%d)", oneTooMany, c.open)
			open, err := chromedp.Run(tab, chromedp.Evaluate[int](script, chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			if open != c.open {
				t.Errorf("the page has %d streams open, wanted: %d", open, c.open)
			}
		})
	}
}

// oneTooMany opens one stream more than n, and returns how many are open when as many as n are, and nothing happens any more. It fails where less open, or where the one too many does
// not when another is closed.
const oneTooMany = `async (n) => {
	const until = async (what, condition) => {
		const end = Date.now() + 30000;
		while (!condition()) {
			if (Date.now() > end) throw new Error(what + ": " + open() + " of " + streams.length + " are open");
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	};
	const streams = Array.from({length: n + 1}, (_, i) => new EventSource("/events?channel=" + i));
	const open = () => streams.filter((s) => s.readyState === EventSource.OPEN).length;
	await until("so many as are expected", () => open() >= n);
	await new Promise((resolve) => setTimeout(resolve, 500));
	const seen = open();
	const waiting = streams.filter((s) => s.readyState === EventSource.CONNECTING);
	streams.find((s) => s.readyState === EventSource.OPEN).close();
	await until("the one too many, when another is closed", () => waiting.every((s) => s.readyState === EventSource.OPEN));
	streams.forEach((s) => s.close());
	return seen;
}`

// serveFor starts the reference server by the command line for the rest of the test, and returns its URL.
func serveFor(ctx context.Context, t *testing.T, args ...string) string {
	cmd := exec.CommandContext(ctx, "ssegauge", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("serve says %q, %v", line, err)
	}
	return url
}
