package publish

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// lineSender publishes by one command that runs all the time and gets a line for each message on its stdin. A message is published when the line is written.
type lineSender struct {
	command string
	line    *text
	turn    chan struct{} // held while a line is written

	// guarded by turn
	p      *feeding
	starts int
}

// maxStarts is how often the command is started: once, and again where it ended after a line at least.
const maxStarts = 4

// feeding is one run of the command.
type feeding struct {
	in   io.WriteCloser
	kill context.CancelFunc
	says *lastLine
	fed  bool // it got a line
	done chan struct{}
	err  error // once done is closed
}

func compileLines(h *Hook) (*lineSender, error) {
	body := h.Body
	if body == "" {
		body = "{{.Data}}"
	}
	line, err := compile("line", body)
	if err != nil {
		return nil, err
	}
	return &lineSender{command: h.Stdin, line: line, turn: make(chan struct{}, 1)}, nil
}

func (*lineSender) String() string { return "a command fed on stdin" }

func (s *lineSender) uses(field string) bool { return s.line.uses(field) }

func (s *lineSender) start() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.p != nil {
		return nil
	}
	return s.run()
}

// run starts the command, if it may be started once more.
func (s *lineSender) run() error {
	if s.starts >= maxStarts {
		return nil
	}
	s.starts++
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "sh", "-c", s.command)
	OwnGroup(cmd)
	cmd.WaitDelay = time.Second
	p := &feeding{kill: cancel, says: new(lastLine), done: make(chan struct{})}
	cmd.Stderr = p.says
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return fmt.Errorf("publish command: %w", err)
	}
	p.in, s.p = in, p
	go func() {
		defer close(p.done)
		defer cancel()
		if p.err = cmd.Wait(); p.err == nil {
			p.err = fmt.Errorf("exit status 0")
		}
	}()
	return nil
}

// over is why the command takes no lines any more. It is started again for the messages to come.
func (s *lineSender) over() error {
	p := s.p
	select {
	case <-p.done:
	case <-time.After(time.Second): // it closed its stdin and goes on
		p.kill()
		<-p.done
	}
	if p.fed {
		if err := s.run(); err != nil {
			return err
		}
	}
	return &CommandError{Exit: p.err.Error(), Says: p.says.String()}
}

func (s *lineSender) send(ctx context.Context, m *Message, _ *Receipt) error {
	line, err := s.line.fill(m)
	if err != nil {
		return err
	}
	if line = strings.TrimSuffix(line, "\n"); strings.Contains(line, "\n") {
		return &CarryError{"line", "a message is one line, and this one has a line break in it; use json"}
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fmt.Errorf("publish command: %w", context.Cause(ctx))
	}
	if s.p == nil {
		if err := s.run(); err != nil {
			return err
		}
	}
	p := s.p
	select {
	case <-p.done:
		return s.over()
	default:
	}
	n, err := p.write(ctx, line+"\n")
	switch {
	case err == nil:
		p.fed = true
		return nil
	case ctx.Err() == nil:
		return s.over()
	case n > 0: // half a line is in the pipe: what follows it would be no line
		p.kill()
		<-p.done
		if err := s.run(); err != nil {
			return err
		}
	}
	return fmt.Errorf("publish command: it does not read: %w", context.Cause(ctx))
}

// write gives up when ctx is done: a pipe whose reader does not read is full one day.
func (p *feeding) write(ctx context.Context, line string) (int, error) {
	in, ok := p.in.(interface{ SetWriteDeadline(t time.Time) error })
	if !ok {
		return io.WriteString(p.in, line)
	}
	in.SetWriteDeadline(time.Time{})
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		in.SetWriteDeadline(time.Unix(1, 0))
	})
	n, err := io.WriteString(p.in, line)
	if !stop() {
		<-over
	}
	return n, err
}

// close ends the command by the end of its stdin, or kills it if that is not enough.
func (s *lineSender) close() {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	p := s.p
	if p == nil {
		return
	}
	s.p, s.starts = nil, 0
	p.in.Close()
	select {
	case <-p.done:
	case <-time.After(farewell):
		p.kill()
		<-p.done
	}
}

// farewell is how long a command may take to end after its stdin did.
const farewell = 2 * time.Second

// CommandError is a command that could not be run, or ended while messages were to come.
type CommandError struct {
	Exit string // "exit status 1"
	Says string // its last line on stderr, short and quoted; "no output" if there is none
}

func (e *CommandError) Error() string { return "publish command: " + e.Exit + ": " + e.Says }

// lastLine keeps the end of what is written to it.
type lastLine struct {
	mu sync.Mutex
	b  []byte
}

func (l *lastLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const kept = 1024
	l.b = append(l.b, p[max(0, len(p)-kept):]...)
	l.b = l.b[max(0, len(l.b)-kept):]
	return len(p), nil
}

func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := bytes.TrimSpace(l.b)
	return firstLine(b[bytes.LastIndexByte(b, '\n')+1:])
}
