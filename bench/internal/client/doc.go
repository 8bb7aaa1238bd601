// Package client is the load tool's side of the sockets: streams and publishers on raw non-blocking sockets and one
// epoll instance, all in one goroutine, so that little of what is measured is the measuring.
package client
