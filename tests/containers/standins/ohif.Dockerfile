# Stand-in for ohif/app:v3.13.2: Debian's nginx with the files of the npm package @ohif/app, which the build gets as the context `ohif`.
FROM localhost/debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends nginx-light \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /usr/share/doc /usr/share/man /usr/share/locale /usr/share/nginx/html/*
# hadolint ignore=DL3022
COPY --from=ohif . /usr/share/nginx/html/
EXPOSE 80
CMD ["nginx", "-g", "daemon off;"]
