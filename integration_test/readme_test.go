package integration_test

import (
	"os/exec"
	"strings"
	"testing"

	"sse-gateway/integration_test/lab"
)

// Every other command of the README is accepted as well.
func TestWalkThrough_EveryPublishOfTheReadmeIsAccepted(t *testing.T) {
	gateway := lab.StartGateway(t, gateways.Binary(t))
	for _, command := range readmeCommands(t) {
		if strings.Contains(command, "/subscribe") || strings.Contains(command, "$TOKEN") {
			continue
		}
		t.Run(command, func(t *testing.T) {
			typed := strings.ReplaceAll(command, "localhost:8000", gateway.Addr())
			typed = strings.Replace(typed, "curl ", `curl -s -o /dev/null -w '%{http_code}' `, 1)
			status, err := exec.CommandContext(t.Context(), "bash", "-c", typed).Output()
			if err != nil || string(status) != "200" {
				t.Errorf("status %s, %v", status, err)
			}
		})
	}
}
