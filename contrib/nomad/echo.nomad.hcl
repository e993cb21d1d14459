# A service in several allocations. socketd and the program are on the clients, or in an image: then
# the driver is another.
job "echo" {
  group "echo" {
    count = 2

    network {
      port "echo" {}
      port "metrics" {}
    }

    service {
      name     = "echo"
      port     = "echo"
      provider = "nomad"

      check {
        type     = "http"
        port     = "metrics"
        path     = "/readyz?service=echo"
        interval = "2s"
        timeout  = "1s"
      }
    }

    update {
      max_parallel = 1
      canary       = 1
      auto_promote = true
    }

    task "socketd" {
      driver = "exec"

      # Nomad would send SIGINT. The time is stop_delay, timeouts.drain and timeouts.kill together, and
      # some more. There is no shutdown_delay: the listener stays open for stop_delay.
      kill_signal  = "SIGTERM"
      kill_timeout = "50s"

      config {
        command = "/usr/bin/socketd"
        args    = ["run", "--log-format", "json", "${NOMAD_TASK_DIR}/socketd.toml"]
      }

      template {
        destination = "local/socketd.toml"
        data        = <<EOF
control = "{{ env "NOMAD_TASK_DIR" }}/control"

[metrics]
listen = "tcp:0.0.0.0:{{ env "NOMAD_PORT_metrics" }}"

[service.echo]
program = "cat"
listen = ["tcp:0.0.0.0:{{ env "NOMAD_PORT_echo" }}"]
workers.min = 2
workers.max = 8
stop_delay = "10s"
timeouts.drain = "30s"
timeouts.kill = "5s"
EOF
      }

      resources {
        cpu    = 250
        memory = 128
      }
    }
  }
}
