package main

import (
	"net"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericserver "k8s.io/apiserver/pkg/server"
	serveroptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	generatedopenapi "k8s.io/kubernetes/pkg/generated/openapi"
	"sigs.k8s.io/metrics-server/pkg/api"
	kubelet "sigs.k8s.io/metrics-server/pkg/scraper/client"
	metricsserver "sigs.k8s.io/metrics-server/pkg/server"
)

// newMetricsServerCommand is metrics-server with the options that the local node sets.
//
// Its own command brings an OpenAPI document generated for a newer Kubernetes; that of
// k8s.io/kubernetes describes the same API and lets both share one set of modules.
func newMetricsServerCommand() *cobra.Command {
	serving := serveroptions.NewSecureServingOptions().WithLoopback()
	authentication := serveroptions.NewDelegatingAuthenticationOptions()
	authorization := serveroptions.NewDelegatingAuthorizationOptions()
	var kubeconfig, kubeletAuthority string
	var resolution time.Duration
	run := func(command *cobra.Command, _ []string) error {
		client, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		err = serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return err
		}
		config := genericserver.NewConfig(api.Codecs)
		if err := serving.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig); err != nil {
			return err
		}
		if err := authentication.ApplyTo(&config.Authentication, config.SecureServing, nil); err != nil {
			return err
		}
		if err := authorization.ApplyTo(&config.Authorization); err != nil {
			return err
		}
		namer := openapi.NewDefinitionNamer(api.Scheme)
		definitions := generatedopenapi.GetOpenAPIDefinitions
		config.OpenAPIConfig = genericserver.DefaultOpenAPIConfig(definitions, namer)
		config.OpenAPIV3Config = genericserver.DefaultOpenAPIV3Config(definitions, namer)
		config.OpenAPIConfig.Info.Title = "metrics-server"
		config.OpenAPIV3Config.Info.Title = "metrics-server"
		config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
		kubeletClient := rest.CopyConfig(client)
		kubeletClient.TLSClientConfig.CAFile = kubeletAuthority
		kubeletClient.TLSClientConfig.CAData = nil
		server, err := metricsserver.Config{
			Apiserver: config,
			Rest:      client,
			Kubelet: &kubelet.KubeletClientConfig{
				Scheme:              "https",
				DefaultPort:         10250,
				AddressTypePriority: []core.NodeAddressType{core.NodeInternalIP},
				Client:              *kubeletClient,
			},
			MetricResolution: resolution,
			ScrapeTimeout:    resolution / 2,
		}.Complete()
		if err != nil {
			return err
		}
		return server.RunUntil(genericserver.SetupSignalHandler())
	}
	command := &cobra.Command{Use: "metrics-server", RunE: run, SilenceUsage: true}
	flags := command.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	flags.StringVar(&kubeletAuthority, "kubelet-certificate-authority", "", "who signed the kubelet")
	flags.DurationVar(&resolution, "metric-resolution", 15*time.Second, "how often to poll the kubelet")
	serving.AddFlags(flags)
	authentication.AddFlags(flags)
	authorization.AddFlags(flags)
	return command
}
