//go:build !race

package lab

// RaceDetector tells whether the tests, and with them the gateways that they start, run under the race detector.
const RaceDetector = false
