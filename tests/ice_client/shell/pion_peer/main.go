// An agent of pion/ice in a process of its own that says back what it is told.
//
//	pion_peer controlling|controlled full|lite ADDRESS
//
// It prints its credentials and candidates as a line of JSON, reads ours as one, and echoes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"time"

	"github.com/pion/ice/v2"
)

type description struct {
	UsernameFragment string   `json:"username_fragment"`
	Password         string   `json:"password"`
	Candidates       []string `json:"candidates"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func gather(lite bool, address string) (*ice.Agent, description) {
	agent, err := ice.NewAgent(&ice.AgentConfig{
		NetworkTypes:     []ice.NetworkType{ice.NetworkTypeUDP4},
		CandidateTypes:   []ice.CandidateType{ice.CandidateTypeHost},
		MulticastDNSMode: ice.MulticastDNSModeDisabled,
		Lite:             lite,
		IPFilter:         func(ip net.IP) bool { return ip.String() == address },
	})
	check(err)
	var ours description
	done := make(chan struct{})
	check(agent.OnCandidate(func(candidate ice.Candidate) {
		if candidate == nil {
			close(done)
			return
		}
		ours.Candidates = append(ours.Candidates, candidate.Marshal())
	}))
	check(agent.GatherCandidates())
	<-done
	ours.UsernameFragment, ours.Password, err = agent.GetLocalUserCredentials()
	check(err)
	return agent, ours
}

func main() {
	role, lite, address := os.Args[1], os.Args[2] == "lite", os.Args[3]
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	agent, ours := gather(lite, address)
	check(json.NewEncoder(os.Stdout).Encode(ours))
	var theirs description
	check(json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&theirs))
	for _, line := range theirs.Candidates {
		candidate, err := ice.UnmarshalCandidate(line)
		check(err)
		check(agent.AddRemoteCandidate(candidate))
	}
	connect := agent.Accept
	if role == "controlling" {
		connect = agent.Dial
	}
	conn, err := connect(ctx, theirs.UsernameFragment, theirs.Password)
	check(err)
	buffer := make([]byte, 65536)
	for {
		size, err := conn.Read(buffer)
		check(err)
		if string(buffer[:size]) == "\x80 over" {
			break
		}
		_, err = conn.Write(buffer[:size])
		check(err)
	}
	check(agent.Close())
}
