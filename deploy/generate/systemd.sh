# shellcheck shell=bash disable=SC2154 # generate.sh sets what is used here
# deploy/systemd/: a template a service, whose instances are its replicas: garrison-tick@1, garrison-tick@2.

# "make install" writes the folder of the binaries in place of @bindir@.
systemd_unit() { # systemd_unit SERVICE PORT_PREFIX: replica n has port PORT_PREFIXn
	local service=$1 url
	cat <<-END
		[Unit]
		Description=Garrison: $service, replica %i
		PartOf=garrison.target
		Wants=network-online.target
		After=network-online.target rabbitmq-server.service redis-server.service postgresql.service
		StartLimitIntervalSec=0

		[Service]
		Type=exec
		ExecStart=@bindir@/garrison-$service
		Environment=ADMIN_ADDR=127.0.0.1:$2%i
		$([[ $service != gateway ]] || echo 'Environment=GATEWAY_ADDR=127.0.0.1:808%i')
		# Secrets: files that root alone can read, shown to this unit alone. deploy/secrets.sh /etc/garrison/secrets makes them.
	END
	for url in $(urls_of "$service"); do
		echo "LoadCredential=$url-url:/etc/garrison/secrets/$service-$url-url"
		echo "Environment=${url^^}_URL_FILE=%d/$url-url"
	done
	if [[ $service == gateway ]]; then
		echo 'LoadCredential=service-token:/etc/garrison/secrets/service-token'
		echo 'Environment=SERVICE_TOKEN_FILE=%d/service-token'
	fi
	cat <<-END
		# Other settings: for all, for the service, for this replica.
		EnvironmentFile=-/etc/garrison/garrison.env
		EnvironmentFile=-/etc/garrison/$service.env
		EnvironmentFile=-/etc/garrison/$service@%i.env
		Restart=always
		RestartSec=1
		# Bad usage does not mend itself.
		RestartPreventExitStatus=64
		KillMode=mixed
		TimeoutStopSec=$stop_grace_s
		MemoryMax=${memory[$service]%i}
		TasksMax=512

		DynamicUser=yes
		PrivateUsers=yes
		UMask=0077
		NoNewPrivileges=yes
		CapabilityBoundingSet=
		AmbientCapabilities=
		ProtectSystem=strict
		ProtectHome=yes
		PrivateTmp=yes
		PrivateDevices=yes
		ProtectProc=invisible
		ProcSubset=pid
		ProtectKernelTunables=yes
		ProtectKernelModules=yes
		ProtectKernelLogs=yes
		ProtectControlGroups=yes
		ProtectClock=yes
		ProtectHostname=yes
		RestrictNamespaces=yes
		RestrictRealtime=yes
		RestrictSUIDSGID=yes
		RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
		LockPersonality=yes
		MemoryDenyWriteExecute=yes
		RemoveIPC=yes
		SystemCallArchitectures=native
		SystemCallFilter=@system-service
		SystemCallFilter=~@privileged @resources
		SystemCallErrorNumber=EPERM

		[Install]
		WantedBy=garrison.target
	END
}

for index in "${!services[@]}"; do
	systemd_unit "${services[index]}" "$((910 + index))" | sed '/^$/{N;/^\n$/D}' | write "systemd/garrison-${services[index]}@.service.in"
done
write systemd/garrison.target <<-'END'
	[Unit]
	Description=Garrison: all replicas of all services that are enabled

	[Install]
	WantedBy=multi-user.target
END
