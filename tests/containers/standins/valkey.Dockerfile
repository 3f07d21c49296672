# Stand-in for valkey/valkey:8.1-alpine: Debian's Redis 7.0 under Valkey's program names.
FROM localhost/debian:bookworm-slim
# hadolint ignore=DL3008
RUN groupadd --system --gid 999 valkey && useradd --system --uid 999 --gid valkey --no-create-home valkey \
    && apt-get update && apt-get install -y --no-install-recommends redis-server redis-tools \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /usr/share/doc /usr/share/man /usr/share/locale \
    && ln -s /usr/bin/redis-server /usr/local/bin/valkey-server && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli \
    && install -d -o valkey -g valkey /data
VOLUME /data
WORKDIR /data
EXPOSE 6379
CMD ["valkey-server"]
