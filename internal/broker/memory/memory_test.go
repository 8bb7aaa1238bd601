package memory

import (
	"testing"
	"testing/synctest"

	"sse-gateway/internal/broker"
	"sse-gateway/internal/broker/brokertest"
)

func TestBroker_KeepsTheContract(t *testing.T) {
	brokertest.Run(t, func(t *testing.T, test func(*testing.T, brokertest.Store)) {
		synctest.Test(t, func(t *testing.T) {
			b := New(Options{Retention: broker.Retention{Size: brokertest.Size}})
			test(t, brokertest.Store{Replicas: []broker.Broker{b}, Keep: b.Retention()})
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}
