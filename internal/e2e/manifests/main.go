// Command manifests checks the files of deploy/ for containers as Compose and Kubernetes would read them:
// manifests compose|kubernetes FILE. It has a module of its own.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	checks := map[string]func(file string) error{"compose": compose, "kubernetes": kubernetes}
	if len(os.Args) != 3 || checks[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: manifests compose|kubernetes FILE")
		os.Exit(2)
	}
	if err := checks[os.Args[1]](os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// compose loads the file with the variables of this process, by the schema and the rules of Compose.
func compose(file string) error {
	p, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  filepath.Dir(file),
		ConfigFiles: []types.ConfigFile{{Filename: file}},
		Environment: types.NewMapping(os.Environ()),
	}, func(o *loader.Options) { o.SetProjectName("holdfast", true) })
	if err != nil {
		return err
	}
	for _, s := range p.Services {
		for _, c := range s.Configs {
			if _, ok := p.Configs[c.Source]; !ok {
				return fmt.Errorf("service %s has no config %s", s.Name, c.Source)
			}
		}
	}
	return nil
}

// manifest is what a file for Kubernetes has.
type manifest struct {
	deployments []*appsv1.Deployment
	services    []*corev1.Service
	secrets     map[string]*corev1.Secret
}

// kubernetes reads each document as its kind, without unknown or repeated fields, and checks that what names something else
// finds it.
func kubernetes(file string) error {
	m, err := readManifest(file)
	if err != nil {
		return err
	}
	if len(m.deployments) == 0 || len(m.services) == 0 {
		return errors.New("no Deployment, or no Service")
	}
	for _, d := range m.deployments {
		if err := checkPod(m, d); err != nil {
			return fmt.Errorf("Deployment %s: %w", d.Name, err)
		}
	}
	for _, s := range m.services {
		if err := checkService(m, s); err != nil {
			return fmt.Errorf("Service %s: %w", s.Name, err)
		}
	}
	return nil
}

func readManifest(file string) (*manifest, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	m := &manifest{secrets: map[string]*corev1.Secret{}}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		text, err := documents.Read()
		if err == io.EOF {
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		switch o := object.(type) {
		case *appsv1.Deployment:
			m.deployments = append(m.deployments, o)
		case *corev1.Service:
			m.services = append(m.services, o)
		case *corev1.Secret:
			m.secrets[o.Name] = o
		default:
			return nil, fmt.Errorf("document %d: %T is not checked here", n, o)
		}
	}
}

// checkPod checks the names in a pod's template: labels, volumes, keys of secrets, ports; and that the pod outlives what its
// containers do before they end.
func checkPod(m *manifest, d *appsv1.Deployment) error {
	pod := d.Spec.Template
	if d.Spec.Selector == nil || !labels.SelectorFromSet(d.Spec.Selector.MatchLabels).Matches(labels.Set(pod.Labels)) {
		return errors.New("the selector does not match the pod")
	}
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
		if v.Secret == nil {
			continue
		}
		for _, item := range v.Secret.Items {
			if err := m.hasKey(v.Secret.SecretName, item.Key); err != nil {
				return err
			}
		}
	}
	for _, c := range pod.Spec.Containers {
		for _, mount := range c.VolumeMounts {
			if !volumes[mount.Name] {
				return fmt.Errorf("container %s mounts %s, which is no volume", c.Name, mount.Name)
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				if err := m.hasKey(e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key); err != nil {
					return err
				}
			}
		}
		for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
			if p != nil && p.TCPSocket != nil && !hasPort(c, p.TCPSocket.Port) {
				return fmt.Errorf("a probe of container %s names port %s, which it has not", c.Name, p.TCPSocket.Port.String())
			}
		}
		if h := c.Lifecycle; h != nil && h.PreStop != nil && h.PreStop.Sleep != nil &&
			(pod.Spec.TerminationGracePeriodSeconds == nil || h.PreStop.Sleep.Seconds >= *pod.Spec.TerminationGracePeriodSeconds) {
			return fmt.Errorf("preStop of container %s takes the whole of terminationGracePeriodSeconds", c.Name)
		}
	}
	return nil
}

func (m *manifest) hasKey(secret, key string) error {
	s := m.secrets[secret]
	if s == nil {
		return fmt.Errorf("there is no Secret %s", secret)
	}
	_, text := s.StringData[key]
	_, data := s.Data[key]
	if !text && !data {
		return fmt.Errorf("the Secret %s has no %s", secret, key)
	}
	return nil
}

// hasPort reports whether a container has a named port; a number needs no entry.
func hasPort(c corev1.Container, port intstr.IntOrString) bool {
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return true
		}
	}
	return port.Type == intstr.Int
}

// checkService checks that a service selects pods, and that these have its ports.
func checkService(m *manifest, s *corev1.Service) error {
	for _, d := range m.deployments {
		if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) {
			continue
		}
		for _, p := range s.Spec.Ports {
			found := false
			for _, c := range d.Spec.Template.Spec.Containers {
				found = found || hasPort(c, p.TargetPort)
			}
			if !found {
				return fmt.Errorf("no container has port %s", p.TargetPort.String())
			}
		}
		return nil
	}
	return errors.New("it selects no pod")
}
