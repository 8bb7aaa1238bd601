package fanout

import "context"

type Hub struct{}
type Subscription struct{}

func (h *Hub) Close() error                                             { panic("wip") }
func (h *Hub) Ready() error                                             { panic("wip") }
func (h *Hub) Publish(ctx context.Context, pubs []Publication) []Result { panic("wip") }
func (h *Hub) CloseTopic(ctx context.Context, topic string) (ID, error) { panic("wip") }
func (h *Hub) History(ctx context.Context, topic string, after ID, limit int) (Page, error) {
	panic("wip")
}
func (h *Hub) Topic(ctx context.Context, topic string) (TopicInfo, error)       { panic("wip") }
func (h *Hub) Topics(ctx context.Context) ([]TopicInfo, error)                  { panic("wip") }
func (h *Hub) Cut(ctx context.Context, owner string) error                      { panic("wip") }
func (h *Hub) Join(ctx context.Context, req JoinRequest) (*Subscription, error) { panic("wip") }
func (s *Subscription) StartID() string                                         { panic("wip") }
func (s *Subscription) Closed() bool                                            { panic("wip") }
func (s *Subscription) Deliver(ctx context.Context, sink Sink) error            { panic("wip") }
func (s *Subscription) Beat()                                                   { panic("wip") }
func (s *Subscription) Leave()                                                  { panic("wip") }
