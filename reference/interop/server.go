package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// start brings up the servers of c and waits until the last one accepts connections. stop ends them.
func start(ctx context.Context, c *Case, dir, program string) (p place, stop func(), err error) {
	p = place{dir: dir, program: program}
	for _, port := range []*int{&p.port, &p.upstream} {
		if *port, err = freePort(); err != nil {
			return p, nil, err
		}
	}
	for _, name := range c.Render {
		text, err := os.ReadFile(filepath.Join(c.folder, name))
		if err != nil {
			return p, nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(p.expand(string(text))), 0o644); err != nil {
			return p, nil, err
		}
	}
	if err := certificate(dir); err != nil {
		return p, nil, err
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return p, nil, err
	}
	if len(c.Build) > 0 {
		argv := p.expandAll(c.Build)
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir = c.folder
		if out, err := cmd.CombinedOutput(); err != nil {
			log.Close()
			return p, nil, fmt.Errorf("%s: %w\n%s", argv[0], err, out)
		}
	}
	var running []*process
	stop = func() {
		for _, r := range running {
			r.end()
		}
		log.Close()
	}
	for i, argv := range c.Start {
		argv = p.expandAll(argv)
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = c.folder, log, log
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its workers end with it
		if err := cmd.Start(); err != nil {
			stop()
			return p, nil, err
		}
		r := &process{cmd, make(chan struct{})}
		go func() { cmd.Wait(); close(r.gone) }()
		running = append(running, r)
		port := p.upstream
		if i == len(c.Start)-1 {
			port = p.port
		}
		if err := r.ready(ctx, port); err != nil {
			stop()
			text, _ := os.ReadFile(log.Name())
			return p, nil, fmt.Errorf("%s: %w\n%s", argv[0], err, text)
		}
	}
	return p, stop, nil
}

// lastPort is the port that was given out last. They lie below those that systems give to connections by themselves (from 32768 on with Linux): until its server listens,
// nobody else takes one.
var lastPort atomic.Int32

func init() { lastPort.Store(10_000 + rand.Int32N(15_000)) }

// freePort is one on which nobody listens, at any address, and which was not given out before.
func freePort() (int, error) {
	var last error
	for range 1000 {
		port := int(lastPort.Add(1))
		l, err := net.Listen("tcp", fmt.Sprint(":", port))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, last
}

// process is a server that runs; gone is closed when it has ended.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{}
}

// ready waits until something accepts connections on port.
func (r *process) ready(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after 20 s: %w", err)
		case <-r.gone:
			return errors.New("it ended at once")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// end asks the process group to stop, and makes it after 5 s.
func (r *process) end() {
	group := -r.cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-r.gone:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(group, syscall.SIGKILL) // workers that outlived their parent; no such group is fine
	<-r.gone
}

// certificate writes a key and a certificate for 127.0.0.1 into dir, and both in one file.
func certificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		return err
	}
	cert, err := x509.CreateCertificate(cryptorand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	for name, content := range map[string][]byte{"key.pem": keyPEM, "cert.pem": certPEM, "both.pem": slices.Concat(certPEM, keyPEM)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
