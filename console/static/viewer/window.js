// Window: which Hounsfield units are black and which white.

export const PRESETS = {
  lung: { name: "Lung", center: -600, width: 1500 },
  soft: { name: "Soft tissue", center: 40, width: 400 },
  bone: { name: "Bone", center: 400, width: 1800 },
  full: { name: "Grey values", center: 127.5, width: 255 }, // of frames, which have no Hounsfield units: each value is displayed as it is
};

export class GreyWindow {
  constructor(preset) {
    this.table = new Uint32Array(65536); // colour of each int16 value, index value + 32768, as bytes R G B A of a little-endian word
    this.choose(preset);
  }

  choose(preset) {
    this.preset = preset;
    this.set(PRESETS[preset].center, PRESETS[preset].width, preset);
  }

  set(center, width, preset = null) {
    this.preset = preset;
    this.center = Math.round(2 * Math.min(4000, Math.max(-2000, center))) / 2;
    this.width = Math.round(Math.min(8000, Math.max(1, width)));
    const low = this.center - this.width / 2;
    for (let value = -32768; value < 32768; value++) {
      const grey = Math.min(255, Math.max(0, Math.round(((value - low) / this.width) * 255)));
      this.table[value + 32768] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
  }
}
