// Runs Argo CD's own application controller, or its own repo-server.
//
// Its command also has the API server, ApplicationSets, notifications and the client, which take most
// of the time of its build.
//
//	argo-cd application-controller|repo-server FLAGS
package main

import (
	"log"
	"os"

	"github.com/spf13/cobra"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
)

var programs = map[string]func() *cobra.Command{
	"application-controller": controller.NewCommand,
	"repo-server":            reposerver.NewCommand,
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		log.Fatal("the first argument is application-controller or repo-server")
	}
	command := programs[os.Args[1]]()
	command.SetArgs(os.Args[2:])
	if err := command.Execute(); err != nil {
		log.Fatal(err)
	}
}
