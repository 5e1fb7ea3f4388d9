//go:build !linux

package server

func releaseText() {}
