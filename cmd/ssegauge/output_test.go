package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A report replaces a file whole or not at all, goes through links, and gets the permissions of any new file.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	if err := writeFile(file, text("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "like"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	like, _ := os.Stat(filepath.Join(dir, "like"))
	if info, err := os.Stat(file); err != nil || info.Mode() != like.Mode() {
		t.Errorf("mode %v, want %v", info.Mode(), like.Mode())
	}
	if err := os.Symlink("file", link); err != nil {
		t.Skip(err)
	}
	if err := writeFile(link, text("two")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "two" {
		t.Errorf("behind the link: %q, %v", b, err)
	}
	if err := writeFile(file, func(w io.Writer) error { io.WriteString(w, "half"); return io.ErrUnexpectedEOF }); err == nil {
		t.Error("no error")
	}
	if b, _ := os.ReadFile(file); string(b) != "two" {
		t.Errorf("after a failure: %q", b)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("something is left: %v", entries)
	}
}
