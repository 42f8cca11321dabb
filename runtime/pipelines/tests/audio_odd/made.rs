//! Makes recordings byte by byte, right and wrong.

/// A chunk of RIFF, padded to an even length or not.
pub(crate) fn chunk(id: &[u8; 4], body: &[u8], padded: bool) -> Vec<u8> {
    let padding = &[0u8; 1][..usize::from(padded) * (body.len() % 2)];
    [&id[..], &(body.len() as u32).to_le_bytes(), body, padding].concat()
}

/// A format chunk of 16-bit samples at 16 kHz, with this size of a frame.
pub(crate) fn format(channels: u16, frame_bytes: u16) -> Vec<u8> {
    let rates = [16_000, 16_000 * u32::from(frame_bytes)].map(u32::to_le_bytes).concat();
    let body = [[1, channels].map(u16::to_le_bytes).concat(), rates, [frame_bytes, 16].map(u16::to_le_bytes).concat()].concat();
    chunk(b"fmt ", &body, true)
}

/// A file of these chunks, whatever its length field says.
pub(crate) fn riff(magic: &[u8; 4], chunks: &[&[u8]]) -> Vec<u8> {
    let body = chunks.concat();
    [&magic[..], &(4 + body.len() as u32).to_le_bytes(), b"WAVE", &body].concat()
}

/// A second of a tone as 16-bit samples, and the same as the reader gives them.
pub(crate) fn tone() -> (Vec<u8>, Vec<f32>) {
    let samples: Vec<i16> = (0..16_000).map(|n| (4000.0 * (f64::from(n) * 0.17).sin()) as i16).collect();
    (samples.iter().flat_map(|x| x.to_le_bytes()).collect(), samples.iter().map(|&x| f32::from(x) / 32_768.0).collect())
}

/// An ID3v2.4 tag of so many bytes of `content`.
pub(crate) fn id3(content: &[u8]) -> Vec<u8> {
    let size = [21, 14, 7, 0].map(|shift| (content.len() >> shift) as u8 & 0x7f);
    [b"ID3\x04\0\0", &size[..], content].concat()
}

/// The pages of an Ogg file.
pub(crate) fn pages(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    while !file.is_empty() {
        let segments = usize::from(file[26]);
        let length = 27 + segments + file[27..27 + segments].iter().map(|&x| usize::from(x)).sum::<usize>();
        pages.push(file[..length].to_vec());
        file = &file[length..];
    }
    pages
}

/// A page with the checksum that its content has now.
pub(crate) fn sealed(mut page: Vec<u8>) -> Vec<u8> {
    page[22..26].fill(0);
    const TABLE: [u32; 256] = {
        let (mut table, mut index) = ([0; 256], 0);
        while index < 256 {
            let (mut value, mut bit) = ((index as u32) << 24, 0);
            while bit < 8 {
                value = (value << 1) ^ if value >> 31 == 1 { 0x04c1_1db7 } else { 0 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let sum = page.iter().fold(0u32, |sum, &byte| sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)]);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// A page of one packet, which must be shorter than 255 x 255 bytes.
pub(crate) fn page(serial: u32, sequence: u32, flags: u8, granule: u64, packet: &[u8]) -> Vec<u8> {
    let mut lacing = vec![255u8; packet.len() / 255];
    lacing.push((packet.len() % 255) as u8);
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(granule.to_le_bytes());
    page.extend([serial, sequence, 0].map(u32::to_le_bytes).concat());
    page.push(lacing.len() as u8);
    page.extend(lacing);
    page.extend(packet);
    sealed(page)
}

/// A mov of 16-bit samples of one channel at 16 kHz, whose index gives each frame so many bytes.
pub(crate) fn quicktime(kind: &[u8; 4], frame_bytes: u32, data: &[u8]) -> Vec<u8> {
    let boxed = |kind: &[u8; 4], body: &[u8]| [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat();
    let table = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let frames = data.len() as u32 / 2;
    let mut entry = [0; 28];
    (entry[7], entry[17], entry[19]) = (1, 1, 16);
    entry[24..26].copy_from_slice(&16_000u16.to_be_bytes());
    let begin = [boxed(b"ftyp", b"qt  \0\0\0\0"), boxed(b"mdat", data)].concat();
    let tables = [
        boxed(b"stsd", &[&table(&[0, 1])[..], &boxed(kind, &entry)].concat()),
        boxed(b"stts", &table(&[0, 1, frames, 1])),
        boxed(b"stsc", &table(&[0, 1, 1, frames, 1])),
        boxed(b"stsz", &table(&[0, frame_bytes, frames])),
        boxed(b"stco", &table(&[0, 1, 24])),
    ];
    let handler = boxed(b"hdlr", &[&[0; 8][..], b"soun", &[0; 13]].concat());
    let media = [boxed(b"mdhd", &table(&[0, 0, 0, 16_000, frames, 0])), handler, boxed(b"minf", &boxed(b"stbl", &tables.concat()))];
    let track = [boxed(b"tkhd", &table(&[1, 0, 0, 1, 0])), boxed(b"mdia", &media.concat())];
    [begin, boxed(b"moov", &boxed(b"trak", &track.concat()))].concat()
}
