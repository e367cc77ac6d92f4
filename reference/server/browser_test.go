package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// pictures names a folder that the pages are photographed into, at two widths and in both colour schemes:
//
//	SSEGAUGE_PICTURES=/tmp/pages go test -run TestPages ./reference/server
var pictures = os.Getenv("SSEGAUGE_PICTURES")

// pageTests are the pages and what has to become true on each.
var pageTests = []struct{ name, path, script string }{
	// Publishes by the form, and waits for the event to come back on the stream of the channel.
	{"live", "/", `
		await until(() => text("state") === "open" && text("watch-state") === "open");
		const form = document.getElementById("publish");
		form.event.value = "greeting";
		form.data.value = "<b>one</b>\ntwo";
		form.requestSubmit();
		await until(() => text("log").includes("<b>one</b>\ntwo") && text("log").includes("greeting"));
		await until(() => Number(text("streams")) >= 2 && text("channels").includes("default"));`},
	// Named events arrive. Then a stream that breaks in the middle of an event: the browser comes back with the id before it, gets that event
	// whole, comes back once more and is told by 204 to stop.
	{"eventsource", "/pages/eventsource", `
		await until(() => text("state") === "open" && text("log").includes('{"number":2,"of":10}'));
		const url = document.getElementById("url");
		url.value = "/scenario/reset";
		url.dispatchEvent(new Event("change"));
		await until(() => text("state") === "closed" && text("log").includes("closed for good"));
		const seen = [...document.querySelectorAll("#log .data")].map((e) => e.textContent).filter((t) => /^(one|two|tw)$/.test(t));
		if (seen.join() !== "two,one") throw new Error("dispatched: " + seen);`},
	{"htmx", "/pages/htmx", `
		await until(() => document.querySelector("#message .fragment b")?.textContent.endsWith("°"));
		const first = document.querySelector("#message time").dateTime;
		await until(() => document.querySelector("#message time").dateTime > first);
		await until(() => Number(document.querySelector("#status strong")?.textContent) >= 0);`},
	{"fetch", "/pages/fetch", `
		await until(() => text("state") === "open" && document.querySelectorAll("#log .name").length > 1 && /(ada|grace|linus):\n./.test(text("log")));`},
	{"temperature", "/pages/temperature", `
		await until(() => text("verdict") === "not above 20");
		await until(() => document.getElementById("box").classList.contains("above") && text("verdict") === "above 20" && parseFloat(text("value")) > 20);`},
	{"scenarios", "/scenario/", `
		await until(() => document.querySelectorAll("dt").length > 30);`},
}

// scriptHead is what the scripts above stand on.
const scriptHead = `(async () => {
	const text = (id) => document.getElementById(id).textContent;
	const until = async (condition) => {
		const end = Date.now() + 15000;
		while (!condition()) {
			if (Date.now() > end) throw new Error("not within 15 s: " + condition + "\n" + document.body.innerText);
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	};`

// TestPages opens each page in a headless Chromium, with a server on a real port.
func TestPages(t *testing.T) {
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless_shell"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no Chromium is installed, so the pages were not opened")
	}
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, nil) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()

	schemes := []string{""}
	if pictures != "" {
		schemes = []string{"light", "dark"}
	}
	for _, scheme := range schemes {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-component-update", true))
		if scheme == "dark" {
			options = append(options, chromedp.Flag("blink-settings", "preferredColorScheme=0"))
		}
		alloc, cancel := chromedp.NewExecAllocator(ctx, options...)
		first, closeBrowser := chromedp.NewContext(alloc)
		if err := chromedp.Do(first, chromedp.Navigate("about:blank")); err != nil {
			t.Errorf("Chromium does not start: %v", err)
		} else {
			t.Run("group"+scheme, func(t *testing.T) { // returns when its parallel tests have
				for _, p := range pageTests {
					t.Run(p.name, func(t *testing.T) {
						t.Parallel()
						tab, closeTab := chromedp.NewContext(first, chromedp.WithNewBrowserContext())
						defer closeTab()
						tryPage(t, tab, "http://"+l.Addr().String()+p.path, p.script, filepath.Join(pictures, p.name+"-"+scheme))
					})
				}
			})
		}
		if err := chromedp.Cancel(first); err != nil {
			t.Logf("Chromium does not end well: %v", err)
		}
		closeBrowser()
		cancel()
	}
}

func tryPage(t *testing.T, tab context.Context, url, script, picture string) {
	listening, stop := context.WithCancel(tab)
	messages := chromedp.Console(listening)
	told := make(chan error, 1)
	go func() {
		var bad error
		for m, err := range messages {
			if err != nil {
				break
			}
			// A page that asks for what its policy forbids, or throws, says so here. So does Chromium when /scenario/reset breaks off.
			wrong := m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException
			if wrong && !strings.Contains(m.Text, "net::ERR_CONNECTION_RESET") {
				bad = fmt.Errorf("%s: %s", m.Type, m.Text)
			}
		}
		told <- bad
	}()
	if err := chromedp.Do(tab, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(url)); err != nil {
		t.Errorf("%s: %v", url, err)
	} else if _, err := chromedp.Run(tab, chromedp.Evaluate[bool](scriptHead+script+"\n\treturn true;\n})()", chromedp.EvalAwaitPromise)); err != nil {
		t.Errorf("%s: %v", url, err)
	}
	if pictures != "" {
		for _, width := range []int64{1280, 390} {
			if err := chromedp.Do(tab, chromedp.EmulateViewport(width, 900)); err != nil {
				t.Fatal(err)
			}
			png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(fmt.Sprintf("%s-%d.png", picture, width), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	if err := <-told; err != nil {
		t.Errorf("%s: console: %v", url, err)
	}
}
