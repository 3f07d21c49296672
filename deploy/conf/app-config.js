// OHIF reads the test PACS through the same origin (ohif-nginx.conf passes /dicom-web on).

// What OHIF 3.13 does not show by itself of photographs and of reports without a place; docs/viewers.md says why.
const DERMOSCOPIC_PHOTOGRAPHY = '1.2.840.10008.5.1.4.1.1.77.1.7';

const hasPlace = item =>
  item.ValueType === 'SCOORD' || item.ValueType === 'SCOORD3D' || [item.ContentSequence ?? []].flat().some(hasPlace);

const hasPlane = ({ SharedFunctionalGroupsSequence: shared, PerFrameFunctionalGroupsSequence: perFrame }) =>
  [shared, perFrame].flat().some(groups => groups?.PlanePositionSequence);

const aiResults = {
  id: 'dicom-node-ai-results',
  onModeEnter({ extensionManager }) {
    // Dermoscopic Photography is shown as other images are.
    const images = extensionManager.getModuleEntry('@ohif/extension-default.sopClassHandlerModule.stack');
    if (!images.sopClassUids.includes(DERMOSCOPIC_PHOTOGRAPHY)) {
      images.sopClassUids.push(DERMOSCOPIC_PHOTOGRAPHY);
    }
    // A report without a place (no finding, not analysed) is shown as text, not as measurements on an image.
    const reports = extensionManager.getModuleEntry('@ohif/extension-cornerstone-dicom-sr.sopClassHandlerModule.dicom-sr-3d');
    const displaySets = reports.getDisplaySetsFromSeries;
    reports.getDisplaySetsFromSeries = instances =>
      displaySets(instances).map(displaySet =>
        hasPlace(displaySet.instance) ? displaySet : Object.assign(displaySet, { isImagingMeasurementReport: false })
      );
    // A segmentation of a photograph has no plane in the patient, and opening it would break the page: it is not listed.
    const segmentations = extensionManager.getModuleEntry('@ohif/extension-cornerstone-dicom-seg.sopClassHandlerModule.dicom-seg');
    const outlines = segmentations.getDisplaySetsFromSeries;
    segmentations.getDisplaySetsFromSeries = instances => outlines(instances.filter(hasPlane));
  },
};

window.config = {
  routerBasename: '/',
  showStudyList: true,
  extensions: [aiResults],
  modes: [],
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  strictZSpacingForVolumeViewport: true,
  defaultDataSourceName: 'dicomweb',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomweb',
      configuration: {
        friendlyName: 'Test PACS',
        name: 'test-pacs',
        wadoUriRoot: '/dicom-web',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        qidoSupportsIncludeField: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        dicomUploadEnabled: false,
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};
