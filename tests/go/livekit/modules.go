//go:build tools

// Package livekit names what is built of other people's modules, so that go.mod keeps it.
package livekit

import _ "github.com/livekit/livekit-server/cmd/server"
