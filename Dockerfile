# One image for every service: `daybook run --service S`, `daybook gateway`, `daybook topics create`.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile production --locked -p daybook --features kafka-tls && cp target/production/daybook /daybook

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl libssl3 zlib1g && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/daybook daybook
COPY --from=build /daybook /usr/local/bin/daybook
USER daybook
WORKDIR /var/lib/daybook
ENV DAYBOOK_HTTP=0.0.0.0:8080 DAYBOOK_DATA=/var/lib/daybook/data DAYBOOK_LOG_JSON=true
EXPOSE 8080 9191
ENTRYPOINT ["daybook"]
CMD ["run"]
