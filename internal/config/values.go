package config

import "holdfast/internal/config/value"

// The values of the package value, and what their notation takes.
type (
	Duration = value.Duration
	Size     = value.Size
	Listen   = value.Listen
	Upstream = value.Upstream
	Header   = value.Header
	Error    = value.Error
	Errors   = value.Errors
	Compress = value.Compress
	TLS      = value.TLS

	UpstreamTLS = value.UpstreamTLS
)

const (
	KB = value.KB
	MB = value.MB
	GB = value.GB
	TB = value.TB

	wantDuration  = value.WantDuration
	wantSize      = value.WantSize
	wantListen    = value.WantListen
	wantUpstream  = value.WantUpstream
	wantPrefix    = value.WantPrefix
	lettersDigits = value.LettersDigits
	longestGuess  = value.LongestGuess
)

var (
	seconds       = value.Seconds
	show          = value.Show
	hasControl    = value.HasControl
	didYouMean    = value.DidYouMean
	checkHost     = value.CheckHost
	canonicalHost = value.CanonicalHost
	isLoopback    = value.IsLoopback
	sameAddress   = value.SameAddress
	splitHostPort = value.SplitHostPort
	parsePrefix   = value.ParsePrefix
	parseOrigin   = value.ParseOrigin
	parseUpstream = value.ParseUpstream

	pathProblem      = value.PathProblem
	authorizeProblem = value.TargetProblem
	redirectProblem  = value.RedirectProblem
	headerProblem    = value.HeaderProblem
	hintSyntax       = value.HintSyntax
)
