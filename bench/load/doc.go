// Load measures servers of Server-Sent Events: what an idle stream costs, how many deliveries a core makes, how late they
// are, and that none is lost, doubled or out of order. See bench/README.md.
package main
