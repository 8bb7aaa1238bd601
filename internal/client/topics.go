package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Topics lists the topics that have subscribers now, with how many they have. It takes the right admin.
func (c *Client) Topics(ctx context.Context) (map[string]int, error) {
	topics := map[string]int{}
	for query := (url.Values{}); ; {
		var page struct {
			Topics []struct {
				Topic       string `json:"topic"`
				Subscribers int    `json:"subscribers"`
			} `json:"topics"`
			Next string `json:"next"`
			More bool   `json:"more"`
		}
		if err := c.get(ctx, "/topics", query, &page); err != nil {
			return nil, err
		}
		for _, active := range page.Topics {
			topics[active.Topic] = active.Subscribers
		}
		if !page.More {
			return topics, nil
		}
		query.Set("after", page.Next)
	}
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	response, err := c.do(ctx, http.MethodGet, path, query, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return nil
}
