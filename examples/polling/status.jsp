<%@ page contentType="application/json" session="false" trimDirectiveWhitespaces="true" %>
<%-- The state of a parcel, for which its page asks every two seconds. The pause stands for the work of a real app. --%>
<%
    Thread.sleep(50);
    Object state = application.getAttribute("parcel." + request.getParameter("id"));
    out.print("{\"state\":\"" + (state == null ? "announced" : state) + "\"}");
%>
