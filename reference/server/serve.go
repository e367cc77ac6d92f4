package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

// Serve answers on l until ctx ends or Shutdown is called, then ends gracefully within Config.ShutdownTimeout and
// returns nil. With a nil config it speaks HTTP/1.1 and h2c (by prior knowledge) in the clear; else HTTP/1.1 and h2 over TLS by ALPN.
// It closes l. It may be called for several listeners; the end of one is the end of all.
func (s *Server) Serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(config == nil && !s.fault.Only1)
	protocols.SetHTTP2(config != nil && !s.fault.Only1)
	hs := &http.Server{
		Handler:   s.handler,
		Protocols: &protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: s.cfg.MaxConcurrentStreams,
			// A connection whose peer is gone without a word holds many streams.
			SendPingTimeout:  time.Minute,
			WriteByteTimeout: 2 * s.cfg.WriteTimeout,
		},
		// Neither ReadTimeout nor WriteTimeout: both would end streams that are well.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		TLSConfig:         config,
		ConnState:         s.countConnection,
		ConnContext:       withTurn,
		ErrorLog:          log.New(panicsOnly{os.Stderr}, "", log.LstdFlags),
	}
	if err := s.gated(&l); err != nil {
		_ = l.Close()
		return err
	}
	if s.fault.Capitals {
		l = capitals{l}
	}
	if s.fault.Exact {
		l = spelled{l}
		hs.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, spelledKey{}, c) }
	}
	s.limit(hs)
	s.mu.Lock()
	stopping := s.stopping()
	if !stopping {
		s.servers = append(s.servers, hs)
	}
	s.mu.Unlock()
	if stopping {
		_ = l.Close()
		return http.ErrServerClosed
	}

	served := make(chan error, 1)
	go func() {
		if config != nil {
			served <- hs.ServeTLS(l, "", "")
		} else {
			served <- hs.Serve(l)
		}
	}()
	select {
	case err := <-served:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	err := s.Shutdown(grace)
	<-served
	return err
}

// panicsOnly passes on the log lines about panics, which are our fault. The others are about what clients do wrong, which they may.
type panicsOnly struct{ io.Writer }

func (w panicsOnly) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("panic")) {
		return w.Writer.Write(p)
	}
	return len(p), nil
}

func (s *Server) countConnection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.count.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.count.connections.Add(-1)
		s.unseat()
	}
}

// Shutdown ends every stream on an event boundary and closes the listeners. What has not ended when ctx does is cut, so it takes
// no longer than ctx allows. Streams that are served by Handler on somebody else's server end too.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stop) })
	s.mu.Lock()
	servers := s.servers
	s.servers = nil
	s.mu.Unlock()
	var errs []error
	for _, hs := range servers {
		if s.fault.Abrupt {
			for s.limits.streams() > 0 && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond) // its streams end as they should
			}
			_ = hs.Close()
			continue
		}
		if err := hs.Shutdown(ctx); err != nil {
			_ = hs.Close()
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// SelfSigned makes a certificate for hosts (names and addresses; none: localhost and the loopback addresses) in memory, valid for a year.
func SelfSigned(hosts ...string) (tls.Certificate, error) {
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server: self-signed certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server: self-signed certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: hosts[0], Organization: []string{"ssegauge, self-signed"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true, // so that it can be given to a client as the authority it trusts
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server: self-signed certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: nil}, nil
}
