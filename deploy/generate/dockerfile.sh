# shellcheck shell=bash disable=SC2154 # generate.sh sets what is used here
# deploy/Dockerfile: a target per service.

image_target() { # image_target NAME BINARY
	cat <<-END

		FROM scratch AS $1
		ARG VERSION REVISION
		LABEL org.opencontainers.image.title="$2" \\
		      org.opencontainers.image.version="\$VERSION" \\
		      org.opencontainers.image.revision="\$REVISION" \\
		      org.opencontainers.image.licenses="MIT"
		COPY --from=build /image/$1/ /
		USER 65532:65532
		ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
	END
}

{
	cat <<-'END'
		#
		#   docker build -f deploy/Dockerfile --target tick -t garrison-tick .
		#
		# An image holds one binary, the libraries it needs, certificates and a user without rights. There is no shell in it.
		ARG BASE=debian:bookworm-slim

		FROM ${BASE} AS build
		RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev make pkg-config \
		    librabbitmq-dev libhiredis-dev libpq-dev libcjson-dev libmicrohttpd-dev libsodium-dev libcurl4-openssl-dev
		WORKDIR /src
		COPY . .
		ARG VERSION=unknown SOURCE_DATE_EPOCH=0
	END
	printf 'RUN make build-services VERSION="%s"' "\$VERSION"
	for service in "${services[@]}"; do
		printf ' && \\\n\tdeploy/image-root.sh build/bin/garrison-%s /image/%s' "$service" "$service"
	done
	printf ' && \\\n\tdeploy/image-root.sh build/bin/garrisonctl /image/ctl\n'
	for service in "${services[@]}"; do
		image_target "$service" "garrison-$service"
		cat <<-END
			ENV ADMIN_ADDR=0.0.0.0:9100
			$([[ $service != gateway ]] || echo 'ENV GATEWAY_ADDR=0.0.0.0:8080')
			EXPOSE 9100$([[ $service != gateway ]] || echo ' 8080')
			STOPSIGNAL SIGTERM
			HEALTHCHECK --interval=10s --timeout=4s --start-period=5s --retries=3 CMD ["/usr/bin/garrison-$service", "--healthcheck"]
			ENTRYPOINT ["/usr/bin/garrison-$service"]
		END
	done
	image_target ctl garrisonctl
	echo 'ENTRYPOINT ["/usr/bin/garrisonctl"]'
} | write Dockerfile
