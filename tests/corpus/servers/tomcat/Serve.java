// Handlers for RESTEasy on an embedded Tomcat 9, as tests/corpus/shapes.py names them; everything else about this
// server is its default.
// Run by the corpus: java Serve PORT DOWNSTREAM_PORT [CERTIFICATE KEY].
import java.io.FileInputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import javax.servlet.ReadListener;
import javax.servlet.ServletException;
import javax.servlet.ServletInputStream;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.servlet.http.HttpUpgradeHandler;
import javax.servlet.http.WebConnection;
import javax.ws.rs.DefaultValue;
import javax.ws.rs.GET;
import javax.ws.rs.Path;
import javax.ws.rs.Produces;
import javax.ws.rs.QueryParam;
import javax.ws.rs.container.AsyncResponse;
import javax.ws.rs.container.Suspended;
import javax.ws.rs.core.Application;
import javax.ws.rs.core.StreamingOutput;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.net.SSLHostConfig;
import org.apache.tomcat.util.net.SSLHostConfigCertificate;
import org.jboss.resteasy.plugins.server.servlet.HttpServlet30Dispatcher;

public class Serve {
    static final int WORK_MS = 20;
    static final int SLOW_MS = 1000;
    static final int HOUR_MS = 3_600_000;
    static final int DOWNLOAD_PARTS = 1024;
    static final int STREAM_LINES = 240;
    static final ReentrantLock NEVER = new ReentrantLock();
    static final List<Object> HOARDS = new CopyOnWriteArrayList<>();
    static int downstream;

    @Path("/")
    @Produces("text/plain")
    public static class Device {
        @GET @Path("ok")
        public String ok() {
            return "ok\n";
        }

        @GET @Path("work")
        public String work() throws InterruptedException {
            Thread.sleep(WORK_MS);
            return "ok\n";
        }

        @GET @Path("slow")
        public String slow() throws InterruptedException {
            Thread.sleep(SLOW_MS);
            return "ok\n";
        }

        @GET @Path("sleep")
        public String sleep() throws InterruptedException {
            Thread.sleep(HOUR_MS);
            return "ok\n";
        }

        @GET @Path("lock")
        public String lock() {
            NEVER.lock(); // held by the thread that started us
            return "ok\n";
        }

        @GET @Path("cpu")
        public String cpu() {
            for (;;) {
            }
        }

        @GET @Path("downstream")
        public String downstream() throws IOException {
            ask().close();
            return "ok\n";
        }

        @GET @Path("fetch")
        public String fetch() throws IOException {
            HOARDS.add(ask());
            return "ok\n";
        }

        @GET @Path("hoard")
        public String hoard() throws IOException {
            HOARDS.add(new FileInputStream("/dev/null"));
            return "ok\n";
        }

        @GET @Path("suspend")
        public void suspend(@Suspended AsyncResponse response) {
            HOARDS.add(response); // nobody will resume it
        }

        @GET @Path("longpoll")
        public String longPoll(@QueryParam("seconds") @DefaultValue("20") int seconds) throws InterruptedException {
            Thread.sleep(1000L * seconds);
            return "ok\n";
        }

        @GET @Path("download")
        public StreamingOutput download() {
            return out -> {
                byte[] part = new byte[64 * 1024];
                for (int i = 0; i < DOWNLOAD_PARTS; i++) {
                    out.write(part);
                }
            };
        }

        @GET @Path("stream")
        public StreamingOutput stream() {
            return out -> {
                for (int i = 0; i < STREAM_LINES; i++) {
                    out.write((i + "\n").getBytes(StandardCharsets.US_ASCII));
                    out.flush();
                    LockSupport.parkNanos(500_000_000L);
                }
            };
        }

        /** A connection to the downstream on which a line was sent and the whole answer was read; no time-outs. */
        static Socket ask() throws IOException {
            Socket connection = new Socket("127.0.0.1", downstream);
            connection.getOutputStream().write("news?\n".getBytes(StandardCharsets.US_ASCII));
            connection.getInputStream().readAllBytes();
            return connection;
        }
    }

    public static class Api extends Application {
        @Override
        public Set<Class<?>> getClasses() {
            return Set.of(Device.class);
        }
    }

    /** Upgrades a connection; its end is read and it is closed by nobody. */
    public static class Leak extends HttpServlet {
        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response)
                throws IOException, ServletException {
            response.setHeader("Connection", "Upgrade");
            response.setHeader("Upgrade", "device");
            request.upgrade(Keeper.class);
        }
    }

    public static class Keeper implements HttpUpgradeHandler {
        @Override
        public void init(WebConnection connection) {
            HOARDS.add(connection);
            try {
                ServletInputStream in = connection.getInputStream();
                in.setReadListener(new ReadListener() {
                    @Override
                    public void onDataAvailable() throws IOException {
                        while (in.isReady() && in.read() >= 0) {
                        }
                    }

                    @Override
                    public void onAllDataRead() {
                    }

                    @Override
                    public void onError(Throwable problem) {
                    }
                });
            } catch (IOException problem) {
                throw new java.io.UncheckedIOException(problem);
            }
        }

        @Override
        public void destroy() {
        }
    }

    public static void main(String[] arguments) throws Exception {
        downstream = Integer.parseInt(arguments[1]);
        NEVER.lock();
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(System.getProperty("java.io.tmpdir"));
        tomcat.setPort(Integer.parseInt(arguments[0]));
        Connector connector = tomcat.getConnector();
        if (arguments.length > 2) {
            connector.setSecure(true);
            connector.setScheme("https");
            connector.setProperty("SSLEnabled", "true");
            SSLHostConfig host = new SSLHostConfig();
            SSLHostConfigCertificate pair =
                    new SSLHostConfigCertificate(host, SSLHostConfigCertificate.Type.UNDEFINED);
            pair.setCertificateFile(arguments[2]);
            pair.setCertificateKeyFile(arguments[3]);
            host.addCertificate(pair);
            connector.addSslHostConfig(host);
        }
        Context context = tomcat.addContext("", null);
        Wrapper api = Tomcat.addServlet(context, "api", HttpServlet30Dispatcher.class.getName());
        api.addInitParameter("javax.ws.rs.Application", Api.class.getName());
        api.setAsyncSupported(true);
        context.addServletMappingDecoded("/*", "api");
        Tomcat.addServlet(context, "leak", new Leak());
        context.addServletMappingDecoded("/leak", "leak");
        tomcat.start();
        tomcat.getServer().await();
    }
}
