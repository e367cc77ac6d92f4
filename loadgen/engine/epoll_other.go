//go:build !linux

package engine

import "context"

// Epoll is the engine of Linux; elsewhere it is [Portable].
type Epoll struct{}

const epollWorks = false

func loops() int { return 0 }

// Run opens and reads the job's streams.
func (Epoll) Run(ctx context.Context, j *Job) { Portable{}.Run(ctx, j) }

func direct(*Target) bool { return false }
