package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"sse-gateway/integration_test/lab"
)

// get is a request with a line for its head.
func get(line, target string) request { return request{target: target, header: []string{line}} }

// readsOfAnInbox are jack's and the admin's ways to jill's events.
func readsOfAnInbox(jack, root string) []attack {
	const no = http.StatusForbidden
	return []attack{
		{"subscribe as jill", get(jack, "/subscribe?user=jill"), no, "not that of"},
		{"subscribe as jill, with all that was", get(jack, "/subscribe?user=jill&since=all"), no, "not that of"},
		{"subscribe as jill beside a topic", get(jack, "/subscribe?topics=alive&user=jill"), no, "not that of"},
		{"subscribe as jill, encoded", get(jack, "/subscribe?user=%6a%69%6c%6c"), no, "not that of"},
		{"subscribe as JILL", get(jack, "/subscribe?user=JILL"), no, "not that of"},
		{"subscribe as jill with a space", get(jack, "/subscribe?user=jill%20"), no, "not that of"},
		{"subscribe as jill with a NUL", get(jack, "/subscribe?user=jill%00"), bad, "control character"},
		{"subscribe as @jill", get(jack, "/subscribe?user=@jill"), no, "not that of"},
		{"subscribe as an admin", get(root, "/subscribe?user=jill"), no, "not that of"},
		{"topics=@jill", get(jack, "/subscribe?topics=@jill"), bad, "reserved"},
		{"topics=%40jill", get(jack, "/subscribe?topics=%40jill"), bad, "reserved"},
		{"topic=@jill", get(jack, "/subscribe?topic=@jill"), bad, "reserved"},
		{"topics=alive|@jill", get(jack, "/subscribe?topics=alive|@jill"), bad, "reserved"},
		{"topics=alive%7C%40jill", get(jack, "/subscribe?topics=alive%7C%40jill"), bad, "reserved"},
		{"topics=@jill as an admin", get(root, "/subscribe?topics=@jill"), bad, "reserved"},

		{"her history", get(jack, "/users/jill/events"), no, "not that of"},
		{"her history, encoded", get(jack, "/users/%6Aill/events"), no, "not that of"},
		{"her history as an admin", get(root, "/users/jill/events"), no, "not that of"},
		{"her history by way of jack's", get(jack, "/users/jack/../jill/events"), http.StatusNotFound, "nothing at"},
		{"her history by way of jack's, encoded", get(jack, "/users/jack%2f..%2fjill/events"), no, "not that of"},
		{"the history of @jill", get(jack, "/topics/@jill/events"), bad, "reserved"},
		{"the history of %40jill", get(jack, "/topics/%40jill/events"), bad, "reserved"},
		{"the history of @jill as an admin", get(root, "/topics/@jill/events"), bad, "reserved"},
		{"what is known of @jill", get(jack, "/topics/@jill"), bad, "reserved"},
		{"what is known of %40jill", get(jack, "/topics/%40jill"), bad, "reserved"},
		{"with two slashes", get(jack, "/topics//@jill/events"), http.StatusNotFound, "nothing at"},
	}
}

// writesToAnInbox are their ways to put something there, and to learn of her.
func writesToAnInbox(jack, root string) []attack {
	const no = http.StatusForbidden
	return []attack{
		{"whether she is online", get(jack, "/users/jill"), no, "admin"},
		{"who listens to what", get(jack, "/topics"), no, "admin"},
		{"publish to her", post(`{"user":"jill","data":1}`, jack), no, "jill"},
		{"publish to @jill", post(`{"topic":"@jill","data":1}`, jack), bad, "reserved"},
		{"publish to an escaped @jill", post(`{"topic":"\u0040jill","data":1}`, jack), bad, "reserved"},
		{"publish to topics that hold @jill", post(`{"topics":["alive","@jill"],"data":1}`, jack), bad, "reserved"},
		{"publish to her as well as to a topic", post(`{"topic":"alive","user":"jill","data":1}`, jack), bad, "given as well"},
		{"publish to her among others in an array", post(`[{"topic":"@jill","data":1}]`, jack), bad, "reserved"},
		{"close @jill", request{method: "POST", target: "/topics/@jill/close", header: []string{jack}}, no, "admin"},
		{"close @jill as an admin", request{method: "POST", target: "/topics/@jill/close", header: []string{root}}, bad, "reserved"},
		{"close %40jill as an admin", request{method: "POST", target: "/topics/%40jill/close", header: []string{root}}, bad, "reserved"},
		{"close a topic", request{method: "POST", target: "/topics/alive/close", header: []string{jack}}, no, "admin"},
		{"cut her off", request{method: "DELETE", target: "/users/jill/streams", header: []string{jack}}, no, "admin"},
		{"cut off oneself", request{method: "DELETE", target: "/users/jack/streams", header: []string{jack}}, no, "admin"},
	}
}

// What is in jill's inbox must not reach jack, by no route, and neither may jack put anything there.
func TestAttack_AnotherUsersInbox(t *testing.T) {
	who := newSecretIssuer()
	s := attackable(t, 2, who, lab.StartRedis(t).Env())
	jill := who.token(t, jwt.MapClaims{"sub": "jill"})
	root := who.bearer(t, jwt.MapClaims{"sub": "root", "admin": true, "subscribe": []string{"*", "@*"}, "publish": []string{"*", "@jill"}})
	jack := who.bearer(t, jwt.MapClaims{"sub": "jack", "subscribe": []string{"*", "@*", "@jill"}, "publish": []string{"*", "@jack"}})
	const secret = "for jill alone"
	inbox := lab.Subscribe(t, lab.SubscribeOptions{Bases: s.URLs(), User: "jill", Query: "access_token=" + jill})
	inbox.WaitReady(t)
	if got := ask(t, s.Replicas[1], request{method: "POST", target: "/publish", header: []string{root}, body: `{"user":"jill","data":"` + secret + `"}`}); got.status != http.StatusOK {
		t.Fatalf("publish to jill: %d %s", got.status, got.body)
	}
	inbox.WaitFired(t, 1)

	s.repels(t, append(readsOfAnInbox(jack, root), writesToAnInbox(jack, root)...))
	s.repels(t, []attack{{"a parameter that is almost hers", get(jack, "/subscribe?topics=alive&User=jill&since=all"), http.StatusBadRequest, "unknown parameter"}})
	t.Run("what is answered with 200 holds nothing of hers", func(t *testing.T) {
		for _, r := range goodRequests(jack) {
			got := ask(t, s.Replicas[0], r)
			if got.status != http.StatusOK || strings.Contains(got.body, secret) || strings.Contains(got.body, `"user":"jill"`) {
				t.Errorf("%s %s: %d %s", r.method, r.target, got.status, got.body)
			}
			if strings.Contains(r.body, "not for jill") && !strings.Contains(got.body, `"status":403`) {
				t.Errorf("%s: nothing is said to be refused: %s", r.body, got.body)
			}
		}
		s.unharmed(t)
	})
	if got := ask(t, s.Replicas[1], get("Authorization: Bearer "+jill, "/users/jill/events")); strings.Count(got.body, `"id"`) != 1 || !strings.Contains(got.body, secret) {
		t.Errorf("jill's inbox holds %s", got.body)
	}
	if events := inbox.State().Fired(); len(events) != 1 {
		t.Errorf("jill has got %v", events)
	}
}

// goodRequests are requests of jack's that look as if they went for what is jill's, and do not.
func goodRequests(jack string) []request {
	return []request{
		get(jack, "/subscribe?user=jack&user=jill&since=all"), // the first counts
		get(jack, "/topics/%2540jill/events"),                 // a topic of the name %40jill
		get(jack, "/topics/%EF%BC%A0jill/events"),
		get(jack, "/topics/jill/events"),
		get(jack, "/topics/%20@jill/events"),
		get(jack, "/users/jack/events"),
		post(`{"users":["jack","jill"],"data":"not for jill"}`, jack),
		post(`[{"user":"jill","data":"not for jill"}]`, jack),
		post(`{"user":"jill","data":"not for jill"}`+"\n", jack, "Content-Type: application/x-ndjson"),
	}
}
