# Stand-in for orthancteam/orthanc:24.10.3: Debian's Orthanc with the DICOMweb plug-in. The official image's start script merges
# /etc/orthanc with its environment variables; here one more file names the plug-in and the folders.
FROM localhost/debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends orthanc orthanc-dicomweb \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /usr/share/doc /usr/share/man /usr/share/locale /etc/orthanc/* \
    && chown root:root /var/lib/orthanc && chmod 0755 /var/lib/orthanc && install -d /var/lib/orthanc/db
COPY orthanc-image.json /etc/orthanc/image.json
VOLUME /var/lib/orthanc/db
EXPOSE 4242 8042
ENTRYPOINT ["/usr/sbin/Orthanc"]
CMD ["/etc/orthanc"]
