import com.pixelmed.validate.DicomSRValidator;

/**
 * Runs PixelMed's DicomSRValidator on each file that is named on the command line, in one virtual machine.
 *
 * The program of that name takes one file, and spends most of its time on compiling its style sheets.
 */
public class ValidateReports {
    public static void main(String[] files) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String file : files) {
            System.out.println("File " + file);
            System.out.println(validator.validate(file));
        }
    }
}
